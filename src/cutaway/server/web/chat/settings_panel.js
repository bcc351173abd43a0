// The settings of an answer, each with a word on what it does.

import { iconButton, wordButton } from "../parts/buttons.js";
import { fill, h } from "../parts/element.js";
import { CUTS, isSeed, LARGEST_SEED, NUMBERS, standardSettings } from "../plain/settings.js";
import { format, say } from "../words/language.js";

const CHOICES = ["areTokensShown", "isSurpriseColoured", "isStreamed", "isReadBySentence"];

/** The panel; `changed(settings)` and `systemChanged(text)` are called when something was set. */
export class SettingsPanel {
  #settings;
  #changed;

  constructor({ settings, changed, systemChanged, close }) {
    this.#settings = settings;
    this.#changed = changed;
    this.system = h("textarea", {
      id: "system",
      rows: 4,
      placeholder: say("system.placeholder"),
      maxlength: 50000,
      on: { input: () => systemChanged(this.system.value) },
    });
    this.body = h("div", { class: "settings-body" });
    this.element = h(
      "aside",
      { class: "settings", id: "settings", "aria-label": say("settings") },
      h(
        "div",
        { class: "settings-head" },
        h("h2", {}, say("settings")),
        iconButton("close", say("close"), close),
      ),
      h(
        "div",
        { class: "settings-scroll", tabindex: 0 },
        h(
          "div",
          { class: "setting" },
          h("label", { for: "system" }, say("system")),
          h("p", { class: "explained" }, say("system.explained")),
          this.system,
        ),
        this.body,
      ),
    );
    this.draw();
  }

  /** Draws every setting again. */
  draw() {
    fill(
      this.body,
      this.#number("temperature"),
      this.#cut(),
      this.#settings.cut === "none" ? null : this.#number(this.#settings.cut),
      this.#number("max_tokens"),
      this.#seed(),
      this.#stop(),
      h(
        "details",
        { class: "more-settings" },
        h("summary", {}, say("settings.penalties")),
        this.#number("repetition_penalty"),
        this.#number("frequency_penalty"),
        this.#number("presence_penalty"),
      ),
      CHOICES.map((name) => this.#choice(name)),
      wordButton(say("settings.reset"), () => this.#reset(), { class: "button quiet" }),
    );
  }

  #set(name, value) {
    this.#settings[name] = value;
    this.#changed(this.#settings);
  }

  #reset() {
    Object.assign(this.#settings, standardSettings());
    this.#changed(this.#settings);
    this.draw();
  }

  #number(name) {
    const { low, high, step } = NUMBERS[name];
    const common = { min: low, max: high, step, value: this.#settings[name] };
    const number = h("input", {
      type: "number",
      id: `set-${name}`,
      "aria-describedby": `about-${name}`,
      ...common,
    });
    const slider = h("input", { type: "range", "aria-label": say(`setting.${name}`), ...common });
    const take = (from, to) => () => {
      const value = Number(from.value);
      const isFine = from.value !== "" && value >= low && value <= high;
      number.setAttribute("aria-invalid", String(!isFine));
      if (!isFine) return;
      to.value = from.value;
      this.#set(name, step >= 1 ? Math.round(value) : value);
    };
    number.addEventListener("input", take(number, slider));
    slider.addEventListener("input", take(slider, number));
    const range = say("setting.range", {
      low: format.number(low, 5),
      high: format.number(high, 5),
    });
    return h(
      "div",
      { class: "setting" },
      h(
        "div",
        { class: "setting-row" },
        h("label", { for: `set-${name}` }, say(`setting.${name}`)),
        number,
      ),
      slider,
      h(
        "p",
        { class: "explained", id: `about-${name}` },
        `${say(`setting.${name}.explained`)} ${range}`,
      ),
    );
  }

  #cut() {
    const select = h(
      "select",
      {
        id: "set-cut",
        "aria-describedby": "about-cut",
        on: {
          change: () => {
            this.#set("cut", select.value);
            this.draw();
            this.body.querySelector("#set-cut").focus();
          },
        },
      },
      CUTS.map((cut) =>
        h("option", { value: cut, selected: cut === this.#settings.cut }, say(`cut.${cut}`)),
      ),
    );
    return h(
      "div",
      { class: "setting" },
      h("div", { class: "setting-row" }, h("label", { for: "set-cut" }, say("cut")), select),
      h("p", { class: "explained", id: "about-cut" }, say("cut.explained")),
    );
  }

  #seed() {
    const field = h("input", {
      type: "number",
      id: "set-seed",
      min: 0,
      max: LARGEST_SEED,
      step: 1,
      placeholder: say("seed.any"),
      value: this.#settings.seed ?? "",
      "aria-describedby": "about-seed",
      on: {
        input: () =>
          this.#set(
            "seed",
            field.value !== "" && isSeed(Number(field.value)) ? Number(field.value) : null,
          ),
      },
    });
    return h(
      "div",
      { class: "setting" },
      h("div", { class: "setting-row" }, h("label", { for: "set-seed" }, say("seed")), field),
      h("p", { class: "explained", id: "about-seed" }, say("seed.explained")),
    );
  }

  #stop() {
    const field = h("textarea", {
      id: "set-stop",
      rows: 2,
      "aria-describedby": "about-stop",
      on: { input: () => this.#set("stop", field.value) },
    });
    field.value = this.#settings.stop;
    return h(
      "div",
      { class: "setting" },
      h("label", { for: "set-stop" }, say("stops")),
      h("p", { class: "explained", id: "about-stop" }, say("stops.explained")),
      field,
    );
  }

  #choice(name) {
    const box = h("input", {
      type: "checkbox",
      id: `set-${name}`,
      checked: this.#settings[name],
      "aria-describedby": `about-${name}`,
      on: { change: () => this.#set(name, box.checked) },
    });
    return h(
      "div",
      { class: "setting choice" },
      box,
      h("label", { for: `set-${name}` }, say(`choice.${name}`)),
      h("p", { class: "explained", id: `about-${name}` }, say(`choice.${name}.explained`)),
    );
  }
}
