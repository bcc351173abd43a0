// Judging by keyboard: shows what the server says is next, and sends what the rater says about it.
// Nothing is kept here that the store does not have, but for a name and a draft that is being typed.

import { wordButton } from "../parts/buttons.js";
import { fill, h } from "../parts/element.js";
import { drawFailure } from "../parts/failure.js";
import { keep, recall } from "../parts/kept.js";
import { notify } from "../parts/notice.js";
import { fetchJson } from "../parts/service.js";
import { openShell } from "../parts/shell.js";
import { say } from "../words/language.js";
import * as drawing from "./drawing.js";

const AGAIN = 1500; // milliseconds until the server is asked again
const LONGEST_DAY = 86_400_000; // milliseconds; a judgement is told no longer time

class LabelPage {
  #shell = openShell("label");
  #rater = recall("rater", "");
  #state = null;
  #ranked = [];
  #reasons = new Set();
  #since = 0;
  #isBusy = false;
  #timer = 0;
  #trouble = h("div");
  #bar = h("progress", { max: 1, value: 0, "aria-labelledby": "done" });
  #done = h("span", { id: "done" });
  #change = wordButton("", () => this.#leave(), { class: "button quiet small" });
  #progress = h("div", { class: "label-progress", hidden: true }, this.#bar, this.#done, this.#change);
  #name = h("input", { id: "name", type: "text", maxlength: 80, autocomplete: "nickname", required: true });
  #welcome = this.#makeWelcome();
  #rest = h("section", { class: "plate narrow", hidden: true });
  #prompt = h("div");
  #answers = h("section", { id: "answers", class: "judged-all", tabindex: -1, "aria-label": say("label.answers") });
  #running = h("div");
  #hint = h("p", { class: "explained" });
  #verdicts = h("section", { class: "verdicts", role: "group", "aria-label": say("label.verdicts") });
  #reasonsRow = h("div", { class: "reasons", role: "group", "aria-labelledby": "why" });
  #better = h("textarea", { id: "better", rows: 2, maxlength: 20000, on: { input: () => this.#keepDraft() } });
  #meters = h("section", { class: "meters", hidden: true, "aria-label": say("label.meters") });
  #judging = this.#makeJudging();

  /** Builds the page, and shows what is next for who has told a name before. */
  start() {
    const parts = [this.#progress, this.#trouble, this.#welcome, this.#rest, this.#judging, this.#meters];
    document.body.append(h("main", { id: "main", class: "label" }, h("h1", { class: "hidden" }, say("label.title")), parts));
    this.#addKeys();
    this.#draw();
    if (this.#rater) this.#load();
    else this.#name.focus();
  }

  #makeWelcome() {
    const begin = (event) => {
      event.preventDefault();
      this.#rater = this.#name.value.trim();
      if (!this.#rater) return;
      keep("rater", this.#rater);
      this.#load();
    };
    return h(
      "form",
      { class: "plate narrow", hidden: true, on: { submit: begin } },
      h("h2", {}, say("label.welcome")),
      h("p", {}, say("label.explained")),
      h("label", { for: "name" }, say("label.name")),
      h("div", { class: "name-row" }, this.#name, h("button", { type: "submit", class: "button main" }, say("label.begin"))),
    );
  }

  #makeJudging() {
    return h(
      "div",
      { hidden: true },
      h("section", { class: "plate asked", "aria-labelledby": "asked" }, h("h2", { id: "asked" }, say("label.asked")), this.#prompt),
      this.#answers,
      h("div", { class: "wait", "aria-hidden": "true" }, this.#running),
      this.#hint,
      this.#verdicts,
      h(
        "section",
        { class: "extras" },
        h("div", {}, h("h3", { id: "why" }, say("label.reasons")), this.#reasonsRow),
        h("div", {}, h("label", { for: "better" }, say("label.better"), " ", h("kbd", {}, "e")), this.#better),
      ),
    );
  }

  #addKeys() {
    const { shortcuts } = this.#shell;
    // A key that is held down would judge what nobody has read.
    const add = (key, words, run) => shortcuts.add(key, words, (event) => this.#item !== null && !event.repeat && run(event) !== false);
    for (const place of [0, 1]) add(String(place + 1), say("label.key.choose"), () => this.#choose(place));
    for (const place of [2, 3]) {
      add(String(place + 1), say("label.key.choose"), () => {
        if (!this.#isPair) this.#choose(place);
        else this.#judge(place === 2 ? "tie" : "both_bad");
      });
    }
    add("t", say("label.tie"), () => this.#judge("tie"));
    add("b", say("label.all_bad"), () => this.#judge("both_bad"));
    add("s", say("label.skip"), () => this.#judge("skip"));
    for (const [key, name] of Object.entries(drawing.REASONS)) add(key, say(`label.reason.${name}`), () => this.#toggle(name));
    add("e", say("label.better"), () => this.#better.focus());
    add("Backspace", say("label.key.back"), () => {
      this.#ranked.pop();
      this.#draw();
    });
    shortcuts.add("u", say("label.undo"), (event) => !event.repeat && this.#undo());
    shortcuts.add("Escape", say("label.key.leave"), () => {
      if (document.activeElement !== this.#better) return false;
      this.#better.blur();
      return true;
    });
  }

  get #item() {
    return this.#state?.item ?? null;
  }

  get #isPair() {
    return this.#item?.answers.length === 2;
  }

  get #draft() {
    return `cutaway.draft.${this.#item.comparison}.${this.#item.showing}`;
  }

  #keepDraft() {
    try {
      if (this.#item) sessionStorage.setItem(this.#draft, this.#better.value);
    } catch {
      // A browser that keeps nothing.
    }
  }

  #recallDraft() {
    try {
      return sessionStorage.getItem(this.#draft) ?? "";
    } catch {
      return "";
    }
  }

  #leave() {
    clearTimeout(this.#timer);
    this.#rater = "";
    this.#state = null;
    this.#draw();
    this.#name.focus();
  }

  async #load() {
    clearTimeout(this.#timer);
    try {
      this.#show(await fetchJson(`/api/label/next?rater=${encodeURIComponent(this.#rater)}`));
    } catch (error) {
      this.#tell(error);
    }
  }

  /** Tells an error in its place; a server that is away is asked again. */
  #tell(error) {
    fill(this.#trouble, drawFailure(error, () => this.#load()));
    if (error.kind !== "key") this.#timer = setTimeout(() => this.#load(), AGAIN);
  }

  #show(state, before = null) {
    const { item } = state;
    const old = this.#item;
    const isSame = old && item && old.comparison === item.comparison && old.showing === item.showing && before === null;
    this.#state = state;
    if (!isSame) {
      this.#ranked = [];
      this.#reasons = new Set(before?.reasons ?? []);
      this.#since = performance.now();
    }
    this.#trouble.replaceChildren();
    this.#draw();
    if (item && !isSame) {
      this.#better.value = before?.better ?? this.#recallDraft();
      scrollTo(0, 0);
      this.#wait(state.minimum_s);
    }
    if (state.is_writing || !item) this.#timer = setTimeout(() => this.#load(), AGAIN);
  }

  #wait(seconds) {
    const fresh = h("div", { class: "runs-out", style: { "--time": `${seconds}s` } });
    this.#running.replaceWith(fresh);
    this.#running = fresh;
  }

  #draw() {
    const { progress, is_writing: isWriting, failure, meters } = this.#state ?? {};
    const item = this.#item;
    this.#welcome.hidden = this.#rater !== "";
    this.#judging.hidden = item === null;
    this.#rest.hidden = this.#state === null || item !== null || this.#rater === "";
    const text = failure ? say("label.failed", { why: failure }) : say(isWriting ? "label.waiting" : "label.finished.text");
    fill(this.#rest, h("h2", {}, say(isWriting ? "label.writing" : "label.finished")), h("p", {}, text));
    this.#progress.hidden = progress === undefined;
    if (progress) {
      this.#bar.value = progress.total ? progress.done / progress.total : 0;
      this.#done.textContent = drawing.toldProgress(progress, isWriting);
      this.#change.textContent = this.#rater;
      this.#change.title = say("label.change", { name: this.#rater });
    }
    const told = drawing.drawMeters(meters);
    this.#meters.hidden = told.length === 0;
    fill(this.#meters, told);
    if (item) this.#drawItem(item);
  }

  #drawItem({ prompt, answers }) {
    const tops = [...this.#answers.querySelectorAll(".answer-text")].map((each) => each.scrollTop);
    fill(this.#prompt, drawing.drawPrompt(prompt));
    fill(this.#answers, drawing.drawAnswers(answers, { ranked: this.#ranked, choose: (place) => this.#choose(place) }));
    // Drawn again for a reason or a rank, an answer stays where its reader was.
    if (this.#since < performance.now() - 50)
      this.#answers.querySelectorAll(".answer-text").forEach((each, place) => (each.scrollTop = tops[place] ?? 0));
    this.#hint.textContent = say(this.#isPair ? "label.hint.pair" : "label.hint.rank");
    fill(this.#verdicts, drawing.drawVerdicts(this.#isPair, { judge: (verdict) => this.#judge(verdict), undo: () => this.#undo() }));
    fill(this.#reasonsRow, drawing.drawReasons(this.#reasons, (name) => this.#toggle(name)));
  }

  #toggle(name) {
    if (!this.#reasons.delete(name)) this.#reasons.add(name);
    const held = document.activeElement?.dataset?.reason;
    this.#draw();
    if (held) this.#reasonsRow.querySelector(`[data-reason="${held}"]`)?.focus();
  }

  /** Of two answers a choice is the verdict; of more it is the next place of the ranking. */
  #choose(place) {
    const count = this.#item.answers.length;
    if (place >= count || this.#ranked.includes(place)) return;
    if (this.#isPair) {
      this.#judge(place === 0 ? "a" : "b");
      return;
    }
    this.#ranked.push(place);
    const isLast = this.#ranked.length === count - 1;
    if (isLast) this.#ranked.push([...Array(count).keys()].find((each) => !this.#ranked.includes(each)));
    this.#draw();
    if (isLast) this.#judge("ranking");
  }

  async #judge(verdict) {
    const item = this.#item;
    if (!item || this.#isBusy) return;
    const milliseconds = Math.round(performance.now() - this.#since);
    const missing = this.#state.minimum_s - milliseconds / 1000;
    if (verdict !== "skip" && missing > 0) {
      notify(say("label.early", { seconds: Math.max(0.1, missing).toFixed(1) }));
      this.#ranked = [];
      this.#draw();
      return;
    }
    const shown = item.answers.map(({ key }) => key);
    const draft = this.#draft;
    const body = {
      rater: this.#rater,
      comparison: item.comparison,
      showing: item.showing,
      verdict,
      shown,
      ranking: verdict === "ranking" ? this.#ranked.map((place) => shown[place]) : [],
      reasons: [...this.#reasons],
      better: this.#better.value.trim(),
      milliseconds: Math.min(milliseconds, LONGEST_DAY),
    };
    await this.#send("/api/label/judgements", body, () => {
      try {
        sessionStorage.removeItem(draft);
      } catch {
        // A browser that keeps nothing.
      }
      return say("label.stored", { verdict: say(`label.verdict.${verdict}`) });
    });
  }

  async #undo() {
    if (!this.#rater || this.#isBusy) return;
    await this.#send("/api/label/undo", { rater: this.#rater }, ({ undone }) =>
      undone ? say("label.undone", { verdict: say(`label.verdict.${undone.verdict}`) }) : say("label.nothing"),
    );
  }

  async #send(path, body, words) {
    this.#isBusy = true;
    clearTimeout(this.#timer);
    const hadFocus = document.activeElement?.closest(".label") !== null;
    try {
      const told = await fetchJson(path, { method: "POST", body });
      notify(words(told));
      this.#show(told, told.undone ?? null);
      if (hadFocus) this.#answers.focus({ preventScroll: true });
    } catch (error) {
      this.#tell(error); // another window may have judged it
    } finally {
      this.#isBusy = false;
    }
  }
}

new LabelPage().start();
