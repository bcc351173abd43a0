// One of the two sides: its model, its answer as text or tokens, and what is told below it.

import { answer } from "../parts/answering.js";
import { drawMarkdown } from "../parts/draw_markdown.js";
import { fill, h } from "../parts/element.js";
import { drawFailure } from "../parts/failure.js";
import { GrowingText } from "../parts/growing_text.js";
import { drawTold } from "../parts/told.js";
import { TokenView } from "../parts/token_view.js";
import { say } from "../words/language.js";

/** A side of the page; it asks with the settings that it is given. */
export class Side {
  #settings;
  #text = "";
  #begun = "";
  #tokens = [];
  #told = null;
  #question = null;
  #isBusy = false;
  #body = h("div", { class: "message-body" }, h("p", { class: "none" }, say("compare.waiting")));
  #foot = h("div", { class: "message-foot" });

  constructor(name, { settings }) {
    this.#settings = settings;
    this.select = h("select", { id: `model-${name}` });
    const label = say(`compare.${name}`);
    this.article = h(
      "article",
      { class: "message answer", "aria-label": label },
      this.#body,
      this.#foot,
    );
    this.element = h(
      "section",
      { class: "side", "aria-label": label },
      h("div", { class: "side-head" }, h("label", { for: `model-${name}` }, label), this.select),
      this.article,
    );
  }

  /** The model's name. */
  get model() {
    return this.select.value;
  }

  set model(id) {
    this.select.value = id;
  }

  /** Shows which models there are. */
  setModels(models, chosen) {
    this.select.replaceChildren(
      ...models.map(({ id }) => h("option", { value: id, selected: id === chosen }, id)),
    );
  }

  /** Asks; errors are shown here, and the promise is kept all the same. */
  async ask(question, { seed, signal, begun = "" }) {
    this.#question = question;
    this.#isBusy = true;
    [this.#text, this.#begun, this.#tokens, this.#told] = [begun, begun, [], null];
    this.#foot.replaceChildren();
    this.#body.replaceChildren();
    this.article.setAttribute("aria-busy", "true");
    const isTokens = this.#settings.areTokensShown;
    const view = isTokens ? this.#tokenView() : null;
    const growing = isTokens ? null : new GrowingText(this.#body, { copyLabel: say("copy") });
    const messages = [{ role: "user", content: question }];
    const grow = ({ text, tokens }) => {
      this.#text += text;
      this.#tokens.push(...tokens);
      view ? view.append(tokens) : growing.write(this.#text);
    };
    let failure = null;
    try {
      this.#told = await answer({
        model: this.model,
        messages,
        begun,
        settings: this.#settings,
        seed,
        signal,
        grow,
      });
    } catch (error) {
      const again = () => this.ask(question, { seed, signal: new AbortController().signal });
      failure = drawFailure(error, again);
    }
    this.#isBusy = false;
    this.article.removeAttribute("aria-busy");
    growing?.finish(this.#text);
    this.draw();
    if (failure) this.#body.append(failure);
  }

  /** Draws the answer again, as the settings say. */
  draw() {
    if (this.#isBusy || this.#question === null) return;
    this.#body.replaceChildren();
    if (this.#settings.areTokensShown && this.#tokens.length > 0)
      this.#tokenView().append(this.#tokens);
    else this.#body.append(...drawMarkdown(this.#text, { copyLabel: say("copy") }));
    fill(this.#foot, this.#told ? drawTold(this.#told) : null);
  }

  /** Changes answers with the other side. */
  exchange(other) {
    [this.#text, other.#text] = [other.#text, this.#text];
    [this.#begun, other.#begun] = [other.#begun, this.#begun];
    [this.#tokens, other.#tokens] = [other.#tokens, this.#tokens];
    [this.#told, other.#told] = [other.#told, this.#told];
    this.draw();
    other.draw();
  }

  #tokenView() {
    const view = new TokenView({
      branch: (place, rival) => this.#branch(place, rival),
      isColoured: this.#settings.isSurpriseColoured,
    });
    if (this.#begun !== "") this.#body.append(h("p", { class: "begun" }, this.#begun));
    this.#body.append(view.element);
    return view;
  }

  #branch(place, rival) {
    if (this.#isBusy) return;
    const before = this.#tokens
      .slice(0, place)
      .map((token) => token.token)
      .join("");
    const begun = `${this.#begun}${before}${rival.text}`;
    this.ask(this.#question, {
      seed: this.#told?.seed ?? 0,
      signal: new AbortController().signal,
      begun,
    });
  }
}
