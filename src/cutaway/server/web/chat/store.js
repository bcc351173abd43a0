// The conversation that is open, kept on the server shortly after each change.

import { fetchJson, fetchText } from "../parts/service.js";
import { newId, Tree } from "../plain/tree.js";

const WAIT = 400; // milliseconds between a change and its save
const PAGE = 100; // conversations in one answer of the list

/** The conversations that hold these words, the newest first. */
export async function listConversations(search, signal) {
  const query = new URLSearchParams({ limit: PAGE });
  if (search !== "") query.set("search", search);
  return (await fetchJson(`/api/conversations?${query}`, { signal })).conversations;
}

/** One conversation or all of them as text: `jsonl` or `markdown`. */
export function exportConversations(id, as) {
  return fetchText(
    id === null ? "/api/conversations/export" : `/api/conversations/${id}/export?as=${as}`,
  );
}

/** Gives a conversation another name. */
export function renameConversation(id, title) {
  return fetchJson(`/api/conversations/${id}`, { method: "PATCH", body: { title } });
}

/** Takes a conversation away; `restoreConversation` brings it back. */
export function removeConversation(id) {
  return fetchJson(`/api/conversations/${id}`, { method: "DELETE" });
}

/** Brings back what was taken away. */
export function restoreConversation(id) {
  return fetchJson(`/api/conversations/${id}/restore`, { method: "POST", body: {} });
}

/** One conversation with its tree; `changed` is called with an error, or null, after each save. */
export class OpenConversation {
  id = null;
  title = "";
  system = "";
  tree = new Tree();
  #changed;
  #timer = null;
  #saving = Promise.resolve();

  constructor(changed) {
    this.#changed = changed;
  }

  /** The conversation of this id, as the server has it. */
  static async load(id, changed) {
    const whole = await fetchJson(`/api/conversations/${encodeURIComponent(id)}`);
    const conversation = new OpenConversation(changed);
    conversation.id = whole.id;
    conversation.title = whole.title;
    conversation.system = whole.system ?? "";
    conversation.tree = new Tree(whole.messages, whole.leaf ?? null);
    return conversation;
  }

  /** What a model is given for an answer to the message `id`. */
  prompt(id = this.tree.leaf) {
    const spoken = this.tree.path(id).map(({ role, content }) => ({ role, content }));
    return this.system.trim() === ""
      ? spoken
      : [{ role: "system", content: this.system }, ...spoken];
  }

  /** Adds a message and saves. */
  add({ parent, role, content, details = {} }) {
    const message = this.tree.add({ id: newId(), parent, role, content, details });
    if (this.title === "" && role === "user") this.title = titleOf(content);
    this.save();
    return message;
  }

  /** Saves a moment later; nothing is saved before something was said. */
  save() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#send(), WAIT);
  }

  #send() {
    if (this.tree.isEmpty) return;
    // One save after the other, so that the first makes the id that the next one uses.
    this.#saving = this.#saving.then(async () => {
      const { title, system, tree } = this;
      const body = {
        title: title || titleOf(""),
        system,
        leaf: tree.leaf,
        messages: tree.messages,
      };
      try {
        if (this.id === null)
          this.id = (await fetchJson("/api/conversations", { method: "POST", body })).id;
        else await fetchJson(`/api/conversations/${this.id}`, { method: "PUT", body });
        this.#changed(null);
      } catch (error) {
        this.#changed(error);
      }
    });
  }
}

/** A name from the first words of a question. */
export function titleOf(content) {
  const line = content.trim().split("\n")[0].slice(0, 60);
  return line === "" ? "…" : line;
}
