// The two drawers beside a conversation: open beside it where there is room, over it where not.

import { keep, recall } from "../parts/kept.js";

const WIDE = "(min-width: 64rem)";
const WIDEST = "(min-width: 80rem)";

/** Opens and closes the drawers; `focus` gives for each name the element that is gone to. */
export class Drawers {
  #focus;

  constructor(focus) {
    this.#focus = focus;
    this.set("sidebar", this.isWide && recall("sidebar", true));
    this.set("settings", matchMedia(WIDEST).matches && recall("settings-open", false));
  }

  /** Whether the drawers stand beside the conversation. */
  get isWide() {
    return matchMedia(WIDE).matches;
  }

  /** Opens a drawer that is closed and goes there, or closes one that is open. */
  toggle(name) {
    const isOpen = !this.#isOpen(name);
    this.set(name, isOpen);
    keep(name === "settings" ? "settings-open" : name, isOpen);
    if (isOpen) this.#focus[name]().focus();
    else document.querySelector(`.${name}-button`).focus();
  }

  /** Opens or closes a drawer; over the conversation there is room for one. */
  set(name, isOpen) {
    document.body.classList.toggle(`has-${name}`, isOpen);
    document.querySelector(`.${name}-button`).setAttribute("aria-expanded", String(isOpen));
    const other = name === "settings" ? "sidebar" : "settings";
    if (isOpen && !this.isWide && this.#isOpen(other)) this.set(other, false);
  }

  /** Closes what lies over the conversation; whether there was anything. */
  closeAll() {
    if (this.isWide) return false;
    const isAny = this.#isOpen("sidebar") || this.#isOpen("settings");
    this.set("sidebar", false);
    this.set("settings", false);
    return isAny;
  }

  #isOpen(name) {
    return document.body.classList.contains(`has-${name}`);
  }
}
