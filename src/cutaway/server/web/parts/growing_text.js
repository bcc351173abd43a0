// An answer while it comes: blocks that are over are drawn once, the open one only grows.

import { closedUntil, opensFence } from "../plain/markdown.js";
import { codeBlock, drawMarkdown } from "./draw_markdown.js";
import { fill, h } from "./element.js";

const BETWEEN = 33; // milliseconds: at most thirty writes a second, each in a frame of its own

/** Draws a text that grows into an element; `after` is called when something was written. */
export class GrowingText {
  #element;
  #copyLabel;
  #after;
  #text = "";
  #closed = 0;
  #open = null;
  #last = 0;
  #waiting = null;

  constructor(element, { copyLabel, after = () => {} }) {
    this.#element = element;
    this.#copyLabel = copyLabel;
    this.#after = after;
  }

  /** The text is this now; it begins with what it was before. */
  write(text) {
    this.#text = text;
    this.#waiting ??= requestAnimationFrame((now) => this.#frame(now));
  }

  /** The text is over: all of it is drawn once more, as one. */
  finish(text) {
    cancelAnimationFrame(this.#waiting);
    this.#waiting = null;
    fill(this.#element, drawMarkdown(text, { copyLabel: this.#copyLabel }));
    this.#after();
  }

  #frame(now) {
    if (now - this.#last < BETWEEN) {
      this.#waiting = requestAnimationFrame((later) => this.#frame(later));
      return;
    }
    this.#waiting = null;
    this.#last = now;
    const over = closedUntil(this.#text.slice(this.#closed));
    if (over > 0) {
      const blocks = drawMarkdown(this.#text.slice(this.#closed, this.#closed + over), {
        copyLabel: this.#copyLabel,
      });
      this.#open?.element.remove();
      this.#open = null;
      this.#element.append(...blocks);
      this.#closed += over;
    }
    this.#grow(this.#text.slice(this.#closed));
    this.#after();
  }

  #grow(rest) {
    if (rest.trim() === "") return;
    const end = rest.indexOf("\n");
    const fence = end < 0 ? null : opensFence(rest.slice(0, end));
    if (!this.#open || this.#open.isCode !== (fence !== null)) {
      this.#open?.element.remove();
      const text = document.createTextNode("");
      const element = fence
        ? codeBlock("", fence.language, this.#copyLabel)
        : h("p", { class: "open" });
      (fence ? element.querySelector("code") : element).append(text);
      this.#element.append(element);
      this.#open = { element, text, isCode: fence !== null };
    }
    const shown = fence ? rest.slice(end + 1) : rest;
    const { text } = this.#open;
    if (shown.startsWith(text.data)) text.appendData(shown.slice(text.data.length));
    else text.data = shown;
  }
}
