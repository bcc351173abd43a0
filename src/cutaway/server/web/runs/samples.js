// What a run wrote on the way, prompt by prompt, and the main figures of its report.

import { h } from "../parts/element.js";
import { format, say } from "../words/language.js";
import { reportLink } from "./report_link.js";

/** The sections of one run. */
export function drawSamples({ run, prompts, card }) {
  return [card ? drawCard(run, card) : null, h("section", { class: "written", "aria-label": say("runs.samples") }, h("h2", {}, say("runs.samples")), h("p", { class: "explained" }, run.name), drawPrompts(prompts))];
}

function drawPrompts(prompts) {
  if (prompts.length === 0) return h("p", { class: "none" }, say("runs.samples.none"));
  return prompts.map(({ prompt, samples }) =>
    h(
      "details",
      { class: "prompt", open: true },
      h("summary", {}, say("runs.samples.prompt", { prompt })),
      h(
        "ol",
        {},
        samples.map(({ step, text }) =>
          h("li", {}, h("span", { class: "sample-step" }, say("runs.samples.step", { step: format.number(step, 7) })), h("p", { class: "sample-text" }, h("span", { class: "sample-prompt" }, prompt), text)),
        ),
      ),
    ),
  );
}

function drawCard(run, card) {
  const tiles = [];
  const add = (value, words) => {
    if (Number.isFinite(value)) tiles.push([value, words]);
  };
  add(card.bits_per_byte?.value, say("runs.bits"));
  add(card.model?.parameters, say("runs.parameters"));
  add(card.minutes?.total, say("runs.minutes"));
  const shown = tiles.map(([value, words]) => h("li", {}, h("b", {}, format.short(value)), h("small", {}, words)));
  const open = run.has_report ? reportLink(run, { class: "button" }, say("runs.open")) : null;
  return h("section", { class: "card", "aria-label": say("runs.report") }, h("h2", {}, say("runs.report"), " ", h("small", {}, run.name)), shown.length > 0 ? h("ul", { class: "tiles" }, shown) : null, open);
}
