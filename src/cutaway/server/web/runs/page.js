// The page of runs: which there are, their curves while they learn, what they wrote, their reports.

import { drawChart } from "../parts/chart.js";
import { fill, h } from "../parts/element.js";
import { drawFailure } from "../parts/failure.js";
import { keep, recall } from "../parts/kept.js";
import { fetchJson } from "../parts/service.js";
import { openShell } from "../parts/shell.js";
import { smooth } from "../plain/curves.js";
import { format, say } from "../words/language.js";
import { Following, METRICS } from "./following.js";
import { reportLink } from "./report_link.js";
import { drawSamples } from "./samples.js";

const BETWEEN = 2000; // milliseconds between two looks, while the page is seen
const MOST_LINES = 6; // as many as there are colours that can be told apart
const FORGET = 0.9; // of the running mean

class RunsPage {
  #shell = openShell("runs");
  #runs = [];
  #seen = null;
  #picked = [];
  #following = new Map();
  #view = { along: "step", isLog: false, isSmooth: true, ...recall("runs", {}) };
  #list = h("ul", { class: "run-list" });
  #controls = h("div", { class: "chart-controls" });
  #charts = h("div", { class: "charts" });
  #samples = h("div", { class: "samples" });
  #trouble = h("div");
  #detailsOf = null;
  #shown = "";

  /** Builds the page and keeps looking. */
  async start() {
    document.body.append(
      h(
        "main",
        { id: "main", class: "runs" },
        h("h1", {}, say("runs.title")),
        this.#trouble,
        h(
          "div",
          { class: "runs-columns" },
          h("section", { class: "run-side", "aria-label": say("runs.list") }, this.#list),
          h("div", { class: "run-main" }, h("section", { "aria-label": say("runs.curves") }, this.#controls, this.#charts), this.#samples),
        ),
      ),
    );
    this.#drawControls();
    let waiting = null;
    addEventListener("resize", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => this.#drawCharts(), 150);
    });
    for (;;) {
      if (!document.hidden) await this.#look();
      await new Promise((resolve) => setTimeout(resolve, BETWEEN));
    }
  }

  async #look() {
    try {
      const { runs } = await fetchJson("/api/runs");
      const seen = JSON.stringify(runs);
      const isOther = seen !== this.#seen;
      this.#seen = seen;
      this.#runs = runs;
      if (this.#picked.length === 0 && runs.length > 0) this.#picked = this.#fromAddress() ?? [runs[0].id];
      this.#picked = this.#picked.filter((id) => runs.some((run) => run.id === id));
      if (isOther) this.#drawList();
      const changes = await Promise.all(this.#picked.map((id) => this.#follow(id).read()));
      if (changes.includes(true) || (isOther && runs.length === 0)) this.#drawCharts();
      await this.#showDetails(isOther);
      this.#trouble.replaceChildren();
    } catch (error) {
      if (this.#trouble.childElementCount === 0) fill(this.#trouble, drawFailure(error, () => this.#look()));
    }
  }

  #follow(id) {
    if (!this.#following.has(id)) this.#following.set(id, new Following(id));
    return this.#following.get(id);
  }

  #fromAddress() {
    const named = new URLSearchParams(location.search).getAll("run").filter((id) => this.#runs.some((run) => run.id === id));
    return named.length > 0 ? named.slice(0, MOST_LINES) : null;
  }

  async #pick(id, isPicked) {
    this.#picked = isPicked ? [...this.#picked, id].slice(-MOST_LINES) : this.#picked.filter((each) => each !== id);
    const query = new URLSearchParams(this.#picked.map((each) => ["run", each]));
    history.replaceState(null, "", `/runs?${query}`);
    this.#drawList();
    await Promise.all(this.#picked.map((each) => this.#follow(each).read().catch(() => false)));
    this.#drawCharts();
    await this.#showDetails(true);
  }

  #colour(id) {
    return this.#picked.indexOf(id) + 1;
  }

  #drawList() {
    const held = document.activeElement?.dataset?.run;
    const none = h("li", { class: "none" }, say("runs.none"));
    fill(this.#list, this.#runs.length === 0 ? none : this.#runs.map((run) => this.#item(run)));
    if (held) this.#list.querySelector(`input[data-run="${CSS.escape(held)}"]`)?.focus();
  }

  #item(run) {
    const isPicked = this.#picked.includes(run.id);
    const { step, steps, loss } = run.last;
    const box = h("input", {
      type: "checkbox",
      id: `run-${run.id}`,
      checked: isPicked,
      data: { run: run.id },
      on: { change: () => this.#pick(run.id, box.checked) },
    });
    const facts = [
      step === undefined ? null : `${say("runs.step", { step: format.number(step, 7) })}${steps === undefined ? "" : ` ${say("runs.of", { steps: format.number(steps, 7) })}`}`,
      Number.isFinite(loss) ? `${say("runs.loss")} ${format.number(loss)}` : null,
      format.ago(run.updated * 1000),
    ];
    return h(
      "li",
      { class: `run${isPicked ? ` is-picked c${this.#colour(run.id)}` : ""}` },
      h(
        "label",
        { for: `run-${run.id}` },
        box,
        h("span", { class: "run-name" }, run.name),
        h("span", { class: `badge${run.is_live ? " is-live" : ""}` }, say(run.is_live ? "runs.live" : "runs.done")),
        h("span", { class: "run-facts" }, facts.filter((fact) => fact !== null).join(" · ")),
        run.is_live && steps > 0 ? h("progress", { value: step, max: steps, "aria-label": say("runs.step", { step }) }) : null,
      ),
      run.has_report
        ? reportLink(run, { class: "report-link", "aria-label": `${say("runs.open")}: ${run.name}` }, say("runs.report"))
        : null,
    );
  }

  #drawControls() {
    const choose = h(
      "select",
      { id: "along", on: { change: () => this.#setView("along", choose.value) } },
      ["step", "tokens", "minutes"].map((name) => h("option", { value: name, selected: name === this.#view.along }, say(`runs.by.${name}`))),
    );
    const box = (name, words) => {
      const input = h("input", { type: "checkbox", checked: this.#view[name], on: { change: () => this.#setView(name, input.checked) } });
      return h("label", { class: "check" }, input, words);
    };
    fill(this.#controls, h("h2", {}, say("runs.curves")), h("label", { class: "check", for: "along" }, say("runs.by"), choose), box("isSmooth", say("runs.smooth")), box("isLog", say("runs.log")));
  }

  #setView(name, value) {
    this.#view[name] = value;
    keep("runs", this.#view);
    this.#drawCharts();
  }

  #drawCharts() {
    const open = new Set([...this.#charts.querySelectorAll("details[open]")].map((each) => each.closest("figure").dataset.metric));
    const wide = Math.max(280, Math.min(1200, this.#charts.clientWidth));
    const half = wide > 760 ? Math.floor((wide - 26) / 2) : wide;
    const { along, isLog, isSmooth } = this.#view;
    const figures = METRICS.map((metric) => {
      const lines = this.#picked
        .map((id) => ({ id, points: this.#follow(id).points(metric, along) }))
        .filter(({ points }) => points.length > 0)
        .map(({ id, points }) => {
          const isSmoothed = isSmooth && points.length > 40;
          const name = this.#runs.find((run) => run.id === id)?.name ?? id;
          return { name, colour: this.#colour(id), points: isSmoothed ? smooth(points, FORGET) : points, faint: isSmoothed ? points : null };
        });
      if (lines.length === 0) return null;
      const width = (metric === "loss" ? wide : half) - 34;
      const figure = drawChart({ title: say(`runs.metric.${metric}`), lines, width, isLog, across: say(`runs.by.${along}`) });
      figure.dataset.metric = metric;
      if (open.has(metric)) figure.querySelector("details").open = true;
      return figure;
    });
    const isNothing = figures.every((figure) => figure === null) && this.#picked.length > 0;
    fill(this.#charts, isNothing ? h("p", { class: "none" }, say("runs.empty")) : figures);
  }

  async #showDetails(isForced) {
    const id = this.#picked[this.#picked.length - 1];
    if (id === undefined || (!isForced && id === this.#detailsOf)) return;
    const { run, prompts, card } = await fetchJson(`/api/runs/${encodeURIComponent(id)}`);
    const shown = JSON.stringify([run.name, run.has_report, prompts, card]);
    this.#detailsOf = id;
    // Drawn anew only where it says something new, so that what a reader has folded stays so.
    if (shown !== this.#shown) fill(this.#samples, drawSamples({ run, prompts, card }));
    this.#shown = shown;
  }
}

new RunsPage().start();
