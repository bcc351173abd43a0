// Draws what is judged: the question, the answers, the verdicts, and how far the rater has come.
// What a model wrote becomes text nodes and nothing else.

import { h } from "../parts/element.js";
import { say } from "../words/language.js";

/** Keys of the reasons that a rater can give, in the order in which they stand. */
export const REASONS = { q: "correct", w: "clear", f: "follows", d: "nonsense", g: "wrong" };

const ENOUGH = 20; // decided pairs from which a bias is told
const FEWEST = 3; // trials from which a share is told

/** A button with words and its key. */
export function keyed(key, words, act, attributes = {}) {
  return h(
    "button",
    { type: "button", class: "button", ...attributes, on: { click: act } },
    h("span", {}, words),
    h("kbd", {}, key),
  );
}

/** How far a rater has come, as words. */
export function toldProgress({ done, total, pace_s: pace, left_s: left }, isWriting) {
  const told = [say("label.done", { done, total })];
  if (pace !== null)
    told.push(say("label.left", { minutes: Math.ceil(left / 60), pace: Math.round(pace) }));
  if (isWriting) told.push(say("label.writing"));
  return told.join(" · ");
}

/** What the rater's judgements show about the rater. */
export function drawMeters(meters) {
  const told = [];
  for (const [name, isBias] of [
    ["first_place", true],
    ["longer", false],
    ["with_oneself", false],
  ]) {
    const share = meters?.[name];
    if (!share || share.trials < (isBias ? ENOUGH : FEWEST)) continue;
    const warns = isBias && (share.low > 0.5 || share.high < 0.5);
    const words = say(`label.meter.${name}`, {
      share: Math.round(100 * share.value),
      trials: share.trials,
    });
    const shown = warns ? `${words} ${say("label.biased")}` : words;
    told.push(h("span", { class: warns ? "warns" : null }, shown));
  }
  return told;
}

/** The conversation that is answered; what came before the last message stands back. */
export function drawPrompt(messages) {
  const several = messages.length > 1;
  return messages.map(({ role, content }, place) =>
    h(
      "p",
      { class: place < messages.length - 1 ? "aside" : null },
      several ? h("span", { class: "asked-role" }, `${say(`label.role.${role}`)} `) : null,
      content,
    ),
  );
}

/** The answers side by side; `ranked` holds the places that were chosen, the best first. */
export function drawAnswers(answers, { ranked, choose }) {
  const words = say(answers.length === 2 ? "label.this" : "label.rank");
  return answers.map(({ text }, place) => {
    const rank = ranked.indexOf(place) + 1;
    const name = say("label.answer", { number: place + 1 });
    const isEmpty = text.trim() === "";
    return h(
      "article",
      { class: `judged${rank ? " is-ranked" : ""}`, "aria-label": name },
      h(
        "div",
        {
          class: `answer-text${isEmpty ? " is-empty" : ""}`,
          tabindex: 0,
          role: "region",
          "aria-label": name,
        },
        isEmpty ? say("label.empty") : text,
      ),
      keyed(
        String(place + 1),
        // Who only hears the page is told which answer; who speaks to it says what is seen.
        [
          h("span", { class: "hidden" }, `${name}: `),
          rank ? h("span", { class: "rank" }, `#${rank}`) : words,
        ],
        () => choose(place),
      ),
    );
  });
}

/** What can be said of all answers together. */
export function drawVerdicts(isPair, { judge, undo }) {
  return [
    keyed(isPair ? "3" : "t", say("label.tie"), () => judge("tie")),
    keyed(isPair ? "4" : "b", say(isPair ? "label.both_bad" : "label.all_bad"), () =>
      judge("both_bad"),
    ),
    keyed("s", say("label.skip"), () => judge("skip")),
    keyed("u", say("label.undo"), undo),
  ];
}

/** Why one was better, as switches. */
export function drawReasons(reasons, toggle) {
  return Object.entries(REASONS).map(([key, name]) =>
    keyed(key, say(`label.reason.${name}`), () => toggle(name), {
      class: "button reason",
      "aria-pressed": String(reasons.has(name)),
      data: { reason: name },
    }),
  );
}
