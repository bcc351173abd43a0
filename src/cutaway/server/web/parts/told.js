// What is told below an answer: tokens, speed, first token, why it ended, seed.

import { format, say } from "../words/language.js";
import { pace } from "./answering.js";
import { h } from "./element.js";

const KNOWN_REASONS = new Set([
  "stop",
  "length",
  "stopped",
  "cancelled",
  "deadline",
  "error",
  "content_filter",
  "tool_calls",
]);

/** The facts as a list; nothing while the answer is not over. */
export function drawTold(details) {
  if (details.reason === undefined) return null;
  const speed = pace(details);
  const facts = [
    say("told.tokens", { count: details.tokens }),
    speed === null ? null : say("told.pace", { speed: format.number(speed) }),
    details.first === null || details.first === undefined
      ? null
      : say("told.first", { time: format.seconds(details.first) }),
    say(`reason.${KNOWN_REASONS.has(details.reason) ? details.reason : "stop"}`),
    say("told.seed", { seed: details.seed }),
    details.dropped > 0 ? say("told.dropped", { count: details.dropped }) : null,
  ];
  const shown = facts.filter((fact) => fact !== null).map((fact) => h("li", {}, fact));
  return h("ul", { class: "told", "aria-label": say("told.label") }, shown);
}
