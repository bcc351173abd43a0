// Speaks to screen readers: one polite region, apart from the answer, which is no live region.

import { h } from "./element.js";

/** A hidden region; what is said replaces what was said before. */
export class Announcer {
  #region = h("div", { class: "hidden", role: "status", "aria-live": "polite" });

  constructor() {
    document.body.append(this.#region);
  }

  /** Says this; the same words twice are said twice. */
  say(words) {
    this.#region.replaceChildren(h("span", {}, words));
  }
}

/** Whole sentences of a text that grows: those that have ended since the last call. */
export class Sentences {
  #said = 0;

  /** What has become whole; with `isOver` all that is left. */
  next(text, isOver = false) {
    const rest = text.slice(this.#said);
    const ends = [...rest.matchAll(/[.!?](?=\s)|[。！？\n]/gu)];
    const end = isOver ? rest.length : ends.length > 0 ? ends[ends.length - 1].index + 1 : 0;
    this.#said += end;
    return rest.slice(0, end).trim();
  }
}
