// The conversation on the page: draws its branch, and follows an answer only who is at its end.

import { fill, h } from "../parts/element.js";
import { icon } from "../parts/icons.js";
import { say } from "../words/language.js";
import { drawMessage } from "./message.js";

const NEAR = 48; // pixels from the end within which the page follows an answer

/** The list of messages; `describe(message)` says how each is to be drawn. */
export class Thread {
  #describe;
  #drawn = new Map();
  #isNear = true;

  constructor({ describe, welcome }) {
    this.#describe = describe;
    this.welcome = welcome;
    this.list = h("div", { class: "messages" });
    this.scroll = h(
      "div",
      {
        class: "thread",
        tabindex: 0,
        role: "region",
        "aria-label": say("thread.label"),
        on: { scroll: () => this.#look() },
      },
      this.list,
    );
    this.jump = h(
      "button",
      { type: "button", class: "jump", hidden: true, on: { click: () => this.toEnd() } },
      icon("down"),
      say("jump"),
    );
    this.element = h("div", { class: "thread-frame" }, this.scroll, this.jump);
  }

  /** Draws all messages of a branch. */
  draw(messages) {
    const held = this.#heldFocus();
    this.#drawn.clear();
    const articles = messages.map((message, place) => this.#make(message, place + 1));
    fill(this.list, articles.length === 0 ? this.welcome() : articles);
    this.list.classList.toggle("is-empty", articles.length === 0);
    this.#giveBack(held);
    this.follow();
  }

  /** Draws one message again, in its place. */
  redraw(message) {
    const drawn = this.#drawn.get(message.id);
    if (!drawn) return;
    const held = this.#heldFocus();
    const old = drawn.article;
    old.replaceWith(this.#make(message, drawn.number));
    this.#giveBack(held);
    this.follow();
  }

  /** What was drawn for a message: `{article, body, view}`. */
  drawn(id) {
    return this.#drawn.get(id);
  }

  /** Goes to the end if the reader was there. */
  follow() {
    if (this.#isNear) this.scroll.scrollTop = this.scroll.scrollHeight;
    else this.#look();
  }

  /** Goes to the end, and follows from there. */
  toEnd() {
    this.#isNear = true;
    this.scroll.scrollTop = this.scroll.scrollHeight;
    this.jump.hidden = true;
  }

  #make(message, number) {
    const drawn = drawMessage({ message, number, ...this.#describe(message) });
    this.#drawn.set(message.id, { ...drawn, number });
    return drawn.article;
  }

  #look() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroll;
    this.#isNear = scrollHeight - scrollTop - clientHeight <= NEAR;
    this.jump.hidden = this.#isNear;
  }

  /** Where the focus is, so that it is there again after what held it was drawn anew. */
  #heldFocus() {
    const article = document.activeElement?.closest?.(".message");
    if (!article) return null;
    const place =
      Number(article.getAttribute("data-place")) || [...this.list.children].indexOf(article);
    return {
      id: article.dataset.id,
      place,
      label: document.activeElement.getAttribute("aria-label"),
    };
  }

  #giveBack(held) {
    if (!held) return;
    const article = this.#drawn.get(held.id)?.article ?? this.list.children[held.place];
    if (!article) return;
    const same = [...article.querySelectorAll("button")].find(
      (button) => button.getAttribute("aria-label") === held.label && !button.disabled,
    );
    (same ?? article).focus({ preventScroll: true });
  }
}
