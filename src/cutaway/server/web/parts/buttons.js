// Buttons with an icon: small ones with a tooltip for a label, and larger ones with words.

import { h } from "./element.js";
import { icon } from "./icons.js";

/** A button that shows an icon alone; `label` is its name and its tooltip. */
export function iconButton(name, label, click, attributes = {}) {
  const common = { type: "button", class: "icon-button", "aria-label": label, title: label };
  return h("button", { ...common, ...attributes, on: { click } }, icon(name));
}

/** A button with words, and with an icon before them where one is named. */
export function wordButton(words, click, { icon: name, ...attributes } = {}) {
  const common = { type: "button", class: "button" };
  return h("button", { ...common, ...attributes, on: { click } }, name ? icon(name) : null, words);
}
