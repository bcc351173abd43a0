// Has a model write an answer into the tree and onto the page; one answer at a time.

import { answer, drawSeed } from "../parts/answering.js";
import { Sentences } from "../parts/announcer.js";
import { GrowingText } from "../parts/growing_text.js";
import { say } from "../words/language.js";

/** Writes answers; `changed()` is called when one begins or ends. */
export class Writer {
  #thread;
  #announcer;
  #settings;
  #changed;
  #running = null;
  tokens = new Map(); // by message, those that this page has seen
  failures = new Map();

  constructor({ thread, announcer, settings, changed }) {
    this.#thread = thread;
    this.#announcer = announcer;
    this.#settings = settings;
    this.#changed = changed;
  }

  /** Whether an answer is being written. */
  get isBusy() {
    return this.#running !== null;
  }

  /** Stops the answer that is being written; what has come stays. */
  stop() {
    this.#running?.abort();
  }

  /**
   * Writes into `message`, which stands in the tree of `conversation` and on the page.
   *
   * What it already holds is gone on from; `kept` are tokens of that part.
   */
  async write(conversation, message, { model, kept = null }) {
    if (this.isBusy) return;
    const running = new AbortController();
    this.#running = running;
    const begun = message.content;
    const seed = drawSeed(this.#settings);
    const seen = { begun: kept ? kept.begun : begun, list: [...(kept?.list ?? [])] };
    this.tokens.set(message.id, seen);
    this.failures.delete(message.id);
    message.details = { model, seed };
    this.#thread.redraw(message);
    this.#changed();
    this.#announcer.say(say("announce.generating"));
    const show = this.#display(message, seen);
    try {
      const messages = conversation.prompt(message.parent);
      const grow = ({ text, tokens }) => {
        message.content += text;
        seen.list.push(...tokens);
        if (this.#settings.isStreamed) show.grow(tokens);
      };
      const { signal } = running;
      const told = await answer({
        model,
        messages,
        begun,
        settings: this.#settings,
        seed,
        signal,
        grow,
      });
      message.details = { model, ...told };
    } catch (error) {
      message.details = {
        model,
        seed,
        reason: "error",
        tokens: seen.list.length,
        first: null,
        seconds: 0,
        dropped: 0,
      };
      this.failures.set(message.id, error);
    } finally {
      this.#running = null;
      show.finish();
      this.#thread.redraw(message);
      this.#changed();
      conversation.save();
    }
    this.#announceEnd(message, show);
  }

  #display(message, seen) {
    const drawn = this.#thread.drawn(message.id);
    const sentences = new Sentences();
    if (!drawn) return { grow: () => {}, finish: () => {}, sentences };
    drawn.article.setAttribute("aria-busy", "true");
    drawn.article.classList.add("is-growing");
    const growing = new GrowingText(drawn.body, {
      copyLabel: say("copy"),
      after: () => this.#thread.follow(),
    });
    let waiting = [];
    let frame = null;
    const flush = () => {
      frame = null;
      drawn.view.append(waiting);
      waiting = [];
      this.#thread.follow();
    };
    if (!drawn.view) {
      drawn.body.replaceChildren();
      if (message.content !== "") growing.write(message.content);
    }
    return {
      sentences,
      grow: (tokens) => {
        if (drawn.view) {
          waiting.push(...tokens);
          frame ??= requestAnimationFrame(flush);
        } else growing.write(message.content);
        if (!this.#settings.isReadBySentence) return;
        const whole = sentences.next(message.content);
        if (whole !== "") this.#announcer.say(whole);
      },
      finish: () => {
        cancelAnimationFrame(frame);
        if (!drawn.view) growing.finish(message.content);
        drawn.article.removeAttribute("aria-busy");
        seen.isOver = true;
      },
    };
  }

  #announceEnd(message, { sentences }) {
    if (this.failures.has(message.id)) return; // an alert of its own
    const { reason } = message.details;
    const rest = this.#settings.isReadBySentence
      ? sentences.next(message.content, true)
      : message.content;
    this.#announcer.say(
      reason === "stopped" ? say("announce.stopped") : say("announce.answer", { text: rest }),
    );
  }
}
