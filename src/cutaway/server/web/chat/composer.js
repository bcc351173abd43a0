// Where one writes: a field that grows, send or stop, the model, and how full its context is.

import { fetchJson } from "../parts/service.js";
import { h } from "../parts/element.js";
import { icon } from "../parts/icons.js";
import { keep, recall } from "../parts/kept.js";
import { format, say } from "../words/language.js";

const HIGHEST = 240; // pixels, after which the field scrolls
const PAUSE = 350; // milliseconds of no typing after which tokens are counted
const FULL = 0.8; // share of the context from which the meter warns

/** The composer; `send(text)`, `stop()`, `editLast()` are what it asks for. */
export class Composer {
  #send;
  #stop;
  #prompt;
  #isBusy = false;
  #counting = null;
  #timer = null;

  constructor({ send, stop, editLast, prompt, modelChosen }) {
    this.#send = send;
    this.#stop = stop;
    this.#prompt = prompt;
    this.field = h("textarea", {
      id: "question",
      rows: 1,
      placeholder: say("composer.placeholder"),
      "aria-label": say("composer.label"),
      maxlength: 200000,
      on: {
        input: () => this.#changed(),
        keydown: (event) => this.#press(event, editLast),
      },
    });
    this.button = h("button", { type: "submit", class: "send" });
    this.models = h("select", {
      class: "model",
      "aria-label": say("model.label"),
      on: { change: () => modelChosen(this.models.value) },
    });
    this.meter = h("div", { class: "meter", hidden: true });
    this.warning = h("p", { class: "warning", role: "status", hidden: true });
    this.element = h(
      "form",
      {
        class: "composer",
        on: {
          submit: (event) => {
            event.preventDefault();
            this.#isBusy ? this.#stop() : this.#submit();
          },
        },
      },
      this.warning,
      h("div", { class: "field" }, this.field, this.button),
      h("div", { class: "under" }, this.models, this.meter),
    );
    this.field.value = recall("draft", "");
    this.setBusy(false);
  }

  /** Puts the cursor into the field. */
  focus() {
    this.field.focus();
  }

  /** Shows Stop instead of Send while an answer comes. */
  setBusy(isBusy) {
    this.#isBusy = isBusy;
    this.button.replaceChildren(icon(isBusy ? "stop" : "send"));
    this.button.setAttribute("aria-label", say(isBusy ? "stop" : "send"));
    this.button.title = say(isBusy ? "stop.hint" : "send");
    this.button.classList.toggle("is-stop", isBusy);
    this.#look();
  }

  /** Shows which models there are. */
  setModels(models, chosen) {
    this.models.replaceChildren(
      ...models.map(({ id }) => h("option", { value: id, selected: id === chosen }, id)),
    );
    this.models.hidden = models.length === 0;
  }

  /** Puts a text into the field, as after an error. */
  write(text) {
    this.field.value = text;
    this.#changed();
  }

  /** Counts the tokens of the conversation with what stands in the field. */
  count() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#count(), PAUSE);
  }

  /** Fits the field to its text. */
  grow() {
    this.field.style.height = "auto";
    this.field.style.height = `${Math.min(HIGHEST, this.field.scrollHeight)}px`;
  }

  #changed() {
    this.grow();
    keep("draft", this.field.value === "" ? null : this.field.value);
    this.#look();
    this.count();
  }

  #look() {
    this.button.disabled = !this.#isBusy && this.field.value.trim() === "";
  }

  #submit() {
    const text = this.field.value;
    if (text.trim() === "") return;
    this.write("");
    this.#send(text);
  }

  #press(event, editLast) {
    if (event.isComposing) return;
    // On a touch screen Enter makes a new line; the button sends.
    const isTouch = matchMedia("(pointer: coarse)").matches;
    if (event.key === "Enter" && !event.shiftKey && !event.altKey && !isTouch) {
      event.preventDefault();
      if (!this.#isBusy) this.#submit();
    } else if (event.key === "ArrowUp" && this.field.value === "" && !this.#isBusy) {
      event.preventDefault();
      editLast();
    }
  }

  async #count() {
    this.#counting?.abort();
    this.#counting = new AbortController();
    const messages = [...this.#prompt()];
    if (this.field.value.trim() !== "") messages.push({ role: "user", content: this.field.value });
    if (messages.length === 0 || this.models.value === "") {
      this.meter.hidden = true;
      this.warning.hidden = true;
      return;
    }
    const body = { model: this.models.value, messages };
    try {
      this.#show(
        await fetchJson("/api/tokens", { method: "POST", body, signal: this.#counting.signal }),
      );
    } catch (error) {
      // A count is a service; what is wrong is told when something is sent.
      if (error.kind !== "stopped") this.meter.hidden = true;
    }
  }

  #show({ tokens, context_length: length }) {
    const share = Math.min(1, tokens / length);
    const words = say("meter", {
      tokens: format.number(tokens, 6),
      length: format.number(length, 6),
    });
    this.meter.hidden = false;
    this.meter.className = `meter${share >= 1 ? " is-over" : share >= FULL ? " is-full" : ""}`;
    this.meter.replaceChildren(
      h(
        "span",
        { class: "meter-track", "aria-hidden": "true" },
        h("span", { class: "meter-full", style: { "--share": share } }),
      ),
      h("span", { title: say("meter.title") }, words),
    );
    this.warning.hidden = share < FULL;
    this.warning.textContent =
      share >= 1 ? say("meter.over") : share >= FULL ? say("meter.nearly") : "";
  }
}
