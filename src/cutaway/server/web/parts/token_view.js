// An answer token by token, coloured by surprise; a token that is pointed at shows its rivals.

import { perplexity, surprise, surpriseLevel, visible } from "../plain/probability.js";
import { format, say } from "../words/language.js";
import { h } from "./element.js";
import { showRivals } from "./rivals.js";

const LEVELS = [0, 1, 2, 3, 4, 5];

/** The tokens of one answer; `branch(place, rival)` goes on from another token. */
export class TokenView {
  #tokens = [];
  #list = h("div", { class: "token-list", role: "group", "aria-label": say("tokens.label") });
  #mean = h("span", { class: "token-mean" });
  #branch;
  #shown = null;

  constructor({ branch, isColoured }) {
    this.#branch = branch;
    this.element = h("div", { class: "token-view" }, this.#list, legend(this.#mean));
    this.colour(isColoured);
    const show = (event) => this.#show(event.target.closest(".token"));
    this.#list.addEventListener("mouseover", show);
    this.#list.addEventListener("focusin", show);
    this.#list.addEventListener("mouseleave", (event) => this.#shown?.leave(event));
    this.#list.addEventListener("focusout", (event) => this.#shown?.leave(event));
    this.#list.addEventListener("click", (event) => this.#enter(event.target.closest(".token")));
    this.#list.addEventListener("keydown", (event) => this.#press(event));
  }

  /** Colours each token by its surprise, or none. */
  colour(isColoured) {
    this.element.classList.toggle("is-coloured", isColoured);
  }

  /** Adds what the model has written since. */
  append(tokens) {
    const fresh = tokens.map((token, offset) => {
      const place = this.#tokens.length + offset;
      const bits = format.number(surprise(token.logprob), 2);
      return h(
        "span",
        {
          class: `token s${surpriseLevel(token.logprob)}`,
          role: "button",
          tabindex: place === 0 ? 0 : -1,
          "aria-label": say("tokens.token", { token: visible(token.token), bits }),
          data: { place },
        },
        shown(token.token),
      );
    });
    this.#tokens.push(...tokens);
    this.#list.append(...fresh);
    const mean = perplexity(this.#tokens.map((token) => token.logprob));
    this.#mean.textContent =
      mean === null ? "" : say("tokens.perplexity", { value: format.number(mean) });
  }

  #show(element) {
    if (!element || this.#shown?.anchor === element) return;
    const place = Number(element.dataset.place);
    this.#shown?.close();
    this.#shown = showRivals({
      anchor: element,
      token: this.#tokens[place],
      choose: (rival) => this.#branch?.(place, rival),
      closed: () => {
        this.#shown = null;
      },
    });
  }

  #enter(element) {
    if (!element) return;
    this.#show(element);
    this.#move(element);
    this.#shown?.enter();
  }

  #press(event) {
    const element = event.target.closest(".token");
    if (!element) return;
    const all = this.#list.children;
    const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -all.length, End: all.length };
    if (event.key in steps) {
      const place = Number(element.dataset.place) + steps[event.key];
      this.#move(all[Math.max(0, Math.min(all.length - 1, place))]);
    } else if (event.key === "Enter" || event.key === " " || event.key === "ArrowDown") {
      this.#enter(element);
    } else if (event.key === "Escape" && this.#shown) {
      this.#shown.close();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  #move(element) {
    this.#list.querySelector("[tabindex='0']")?.setAttribute("tabindex", -1);
    element.setAttribute("tabindex", 0);
    element.focus();
  }
}

function shown(text) {
  // A line's end is a mark and a new line; the mark alone would hide how the answer looked.
  const parts = text.split("\n");
  return parts.flatMap((part, place) =>
    place === parts.length - 1 ? [part === "" && parts.length > 1 ? null : part] : [part, "↵\n"],
  );
}

function legend(mean) {
  const swatches = LEVELS.map((level) => h("span", { class: `swatch s${level}` }));
  return h(
    "div",
    { class: "token-legend" },
    h(
      "span",
      { class: "scale", "aria-hidden": "true" },
      say("tokens.expected"),
      swatches,
      say("tokens.surprising"),
    ),
    mean,
    h("span", { class: "token-hint" }, say("tokens.hint")),
  );
}
