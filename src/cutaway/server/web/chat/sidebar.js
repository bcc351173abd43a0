// The list of conversations: searched, opened, renamed, exported, taken away with a way back.

import { iconButton, wordButton } from "../parts/buttons.js";
import { askLine } from "../parts/dialog.js";
import { fill, h } from "../parts/element.js";
import { saveFile } from "../parts/files.js";
import { openMenu } from "../parts/menu.js";
import { notify } from "../parts/notice.js";
import { format, say } from "../words/language.js";
import * as store from "./store.js";

const PAUSE = 200; // milliseconds of no typing after which is searched

/** The sidebar; `open(id)` shows a conversation, null a new one; `failed(error)` tells an error. */
export class Sidebar {
  #open;
  #failed;
  #current = null;
  #timer = null;
  #asking = null;

  constructor({ open, failed }) {
    this.#open = open;
    this.#failed = failed;
    this.search = h("input", {
      type: "search",
      class: "search",
      placeholder: say("search"),
      "aria-label": say("search"),
      maxlength: 200,
      on: {
        input: () => {
          clearTimeout(this.#timer);
          this.#timer = setTimeout(() => this.refresh(), PAUSE);
        },
      },
    });
    this.list = h("ul", { class: "conversations" });
    this.element = h(
      "nav",
      { class: "sidebar", id: "sidebar", "aria-label": say("conversations") },
      h(
        "div",
        { class: "sidebar-head" },
        wordButton(say("new"), () => this.#open(null), { icon: "add", class: "button new" }),
        this.search,
      ),
      this.list,
      h(
        "div",
        { class: "sidebar-foot" },
        wordButton(say("export.all"), () => this.#export(null, "jsonl"), {
          icon: "export",
          class: "button quiet",
        }),
      ),
    );
  }

  /** Marks the conversation that is open. */
  mark(id) {
    this.#current = id;
    for (const item of this.list.querySelectorAll("[data-id]")) {
      const isOpen = item.dataset.id === String(id);
      item.classList.toggle("is-open", isOpen);
      const button = item.querySelector(".conversation-name");
      isOpen ? button.setAttribute("aria-current", "true") : button.removeAttribute("aria-current");
    }
  }

  /** Asks the server for the list again. */
  async refresh() {
    this.#asking?.abort();
    this.#asking = new AbortController();
    const words = this.search.value.trim();
    try {
      const found = await store.listConversations(words, this.#asking.signal);
      const none = h(
        "li",
        { class: "none" },
        say(words === "" ? "conversations.none" : "search.none"),
      );
      fill(this.list, found.length === 0 ? none : found.map((each) => this.#item(each)));
      this.mark(this.#current);
    } catch (error) {
      if (error.kind !== "stopped")
        fill(this.list, h("li", { class: "none" }, say(`error.${error.kind}`)));
    }
  }

  #item({ id, title, updated }) {
    const name = h(
      "button",
      { type: "button", class: "conversation-name", on: { click: () => this.#open(id) } },
      h("span", { class: "conversation-title" }, title),
      h("span", { class: "conversation-time" }, format.ago(updated)),
    );
    const more = iconButton(
      "more",
      say("conversation.more", { title }),
      (event) =>
        openMenu(event.currentTarget, [
          { words: say("rename"), run: () => this.#rename(id, title) },
          { words: say("export.jsonl"), run: () => this.#export(id, "jsonl") },
          { words: say("export.markdown"), run: () => this.#export(id, "markdown") },
          { words: say("remove"), run: () => this.#remove(id, title) },
        ]),
      { "aria-haspopup": "menu" },
    );
    return h("li", { class: "conversation", data: { id } }, name, more);
  }

  async #rename(id, title) {
    const given = await askLine({
      title: say("rename"),
      closeLabel: say("close"),
      label: say("rename.label"),
      value: title,
      okLabel: say("save"),
    });
    if (given === null || given.trim() === "") return;
    await this.#try(async () => {
      await store.renameConversation(id, given.trim());
      this.renamed?.(id, given.trim());
    });
  }

  async #export(id, as) {
    await this.#try(async () => {
      const text = await store.exportConversations(id, as);
      const name = id === null ? "conversations" : `conversation-${id}`;
      saveFile(`${name}.${as === "markdown" ? "md" : "jsonl"}`, text);
    });
  }

  async #remove(id, title) {
    await this.#try(async () => {
      await store.removeConversation(id);
      if (String(id) === String(this.#current)) this.#open(null);
      const back = () => this.#try(() => store.restoreConversation(id));
      notify(say("removed", { title }), { words: say("undo"), run: back });
    });
  }

  async #try(run) {
    try {
      await run();
    } catch (error) {
      this.#failed(error);
    }
    await this.refresh();
  }
}
