// What an empty conversation shows: what this page is for, and questions to begin with.

import { h } from "../parts/element.js";
import { sign } from "../parts/icons.js";
import { say } from "../words/language.js";

const EXAMPLES = ["spell", "date", "rhyme", "sum"];

/** The welcome; a click on an example gives it to `write`. */
export function drawWelcome(write) {
  const examples = EXAMPLES.map((name) => {
    const text = say(`example.${name}`);
    return h(
      "li",
      {},
      h("button", { type: "button", class: "example", on: { click: () => write(text) } }, text),
    );
  });
  return h(
    "div",
    { class: "welcome" },
    sign(),
    h("h2", {}, say("welcome.title")),
    h("p", {}, say("welcome.words")),
    h("ul", { class: "examples", "aria-label": say("welcome.examples") }, examples),
  );
}
