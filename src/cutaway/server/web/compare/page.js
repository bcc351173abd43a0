// Two models side by side: one question, two answers that come at the same time.

import { iconButton } from "../parts/buttons.js";
import { h } from "../parts/element.js";
import { drawFailure } from "../parts/failure.js";
import { keep, recall } from "../parts/kept.js";
import { listModels } from "../parts/service.js";
import { openShell } from "../parts/shell.js";
import { drawSeed } from "../parts/answering.js";
import { checkedSettings, NUMBERS } from "../plain/settings.js";
import { say } from "../words/language.js";
import { Side } from "./side.js";

class ComparePage {
  #shell = openShell("compare");
  #settings = checkedSettings(recall("settings"));
  #isSameSeed = recall("compare.same", false);
  #sides = ["left", "right"].map((name) => new Side(name, { settings: this.#settings }));
  #running = null;
  #field = h("textarea", {
    id: "question",
    rows: 2,
    "aria-label": say("compare.question"),
    placeholder: say("compare.question"),
    maxlength: 200000,
    on: { keydown: (event) => this.#press(event) },
  });
  #button = h("button", { type: "submit", class: "button main" }, say("compare.ask"));
  #trouble = h("div");

  /** Builds the page and asks for the models. */
  async start() {
    const form = h(
      "form",
      {
        class: "ask-both",
        on: {
          submit: (event) => {
            event.preventDefault();
            this.#running ? this.#running.abort() : this.#ask();
          },
        },
      },
      this.#field,
      h("div", { class: "ask-row" }, this.#controls(), this.#button),
    );
    document.body.append(
      h(
        "main",
        { id: "main", class: "compare" },
        h(
          "div",
          { class: "compare-head" },
          h("h1", {}, say("compare.title")),
          h("p", {}, say("compare.words")),
        ),
        this.#trouble,
        form,
        h(
          "div",
          { class: "sides" },
          this.#sides.map((side) => side.element),
          iconButton("swap", say("compare.swap"), () => this.#swap(), {
            class: "icon-button swap",
          }),
        ),
      ),
    );
    const { shortcuts } = this.#shell;
    shortcuts.add("Enter", say("key.send"), null);
    shortcuts.add("Escape", say("key.stop"), () =>
      this.#running ? (this.#running.abort(), true) : false,
    );
    shortcuts.add("Alt+X", say("key.swap"), () => this.#swap());
    shortcuts.add("/", say("key.focus"), () => this.#field.focus());
    this.#field.value = recall("compare.draft", "");
    this.#field.focus();
    await this.#loadModels();
  }

  #controls() {
    const number = (name, words) => {
      const { low, high, step } = NUMBERS[name];
      const input = h("input", {
        type: "number",
        id: `compare-${name}`,
        min: low,
        max: high,
        step,
        value: this.#settings[name],
      });
      input.addEventListener("input", () => {
        const value = Number(input.value);
        const isFine = input.value !== "" && value >= low && value <= high;
        input.setAttribute("aria-invalid", String(!isFine));
        if (isFine) this.#set(name, value);
      });
      return h("label", { class: "check", for: input.id }, words, input);
    };
    const box = (words, isChecked, change) => {
      const input = h("input", {
        type: "checkbox",
        checked: isChecked,
        on: { change: () => change(input.checked) },
      });
      return h("label", { class: "check" }, input, words);
    };
    return h(
      "div",
      { class: "compare-controls" },
      number("temperature", say("compare.temperature")),
      number("max_tokens", say("compare.length")),
      box(say("compare.same"), this.#isSameSeed, (isSame) => {
        this.#isSameSeed = isSame;
        keep("compare.same", isSame);
      }),
      box(say("compare.tokens"), this.#settings.areTokensShown, (isShown) =>
        this.#set("areTokensShown", isShown),
      ),
      box(say("compare.colour"), this.#settings.isSurpriseColoured, (isColoured) =>
        this.#set("isSurpriseColoured", isColoured),
      ),
    );
  }

  #set(name, value) {
    this.#settings[name] = value;
    keep("settings", this.#settings);
    for (const side of this.#sides) side.draw();
  }

  async #loadModels() {
    try {
      const models = await listModels();
      const chosen = recall("compare.models", []);
      this.#sides.forEach((side, place) =>
        side.setModels(models, chosen[place] ?? models[Math.min(place, models.length - 1)]?.id),
      );
      this.#trouble.replaceChildren();
    } catch (error) {
      this.#trouble.replaceChildren(drawFailure(error, () => this.#loadModels()));
      if (error.kind === "loading") setTimeout(() => this.#loadModels(), 2000);
    }
  }

  async #ask() {
    const question = this.#field.value;
    if (question.trim() === "") return;
    keep("compare.draft", question);
    keep(
      "compare.models",
      this.#sides.map((side) => side.model),
    );
    this.#running = new AbortController();
    this.#button.textContent = say("stop");
    this.#shell.announcer.say(say("announce.generating"));
    const seed = drawSeed(this.#settings);
    const seeds = [seed, this.#isSameSeed ? seed : drawSeed(this.#settings)];
    const { signal } = this.#running;
    await Promise.all(
      this.#sides.map((side, place) => side.ask(question, { seed: seeds[place], signal })),
    );
    this.#running = null;
    this.#button.textContent = say("compare.ask");
    this.#shell.announcer.say(say("compare.done"));
  }

  #swap() {
    if (this.#running) return;
    const [left, right] = this.#sides;
    [left.model, right.model] = [right.model, left.model];
    keep("compare.models", [left.model, right.model]);
    left.exchange(right);
  }

  #press(event) {
    if (
      event.key !== "Enter" ||
      event.shiftKey ||
      event.isComposing ||
      matchMedia("(pointer: coarse)").matches
    )
      return;
    event.preventDefault();
    if (!this.#running) this.#ask();
  }
}

new ComparePage().start();
