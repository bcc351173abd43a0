// A conversation as a tree: an edited question or an answer given again is another branch.

/** Messages by id, each with its parent; `leaf` is the end of the branch that is shown. */
export class Tree {
  #messages = new Map();
  #children = new Map();
  #chosen = new Map();

  /** The tree of messages `{id, parent, role, content, details}`, in which parents come first. */
  constructor(messages = [], leaf = null) {
    this.leaf = null;
    for (const message of messages) this.add(message);
    if (leaf !== null && this.#messages.has(leaf)) this.show(leaf);
  }

  /** Puts a message below its parent and shows the branch that ends in it. */
  add(message) {
    const parent = this.#messages.has(message.parent) ? message.parent : null;
    if (this.#messages.has(message.id)) throw new Error(`message ${message.id} is there already`);
    const kept = { details: {}, ...message, parent };
    this.#messages.set(kept.id, kept);
    if (!this.#children.has(parent)) this.#children.set(parent, []);
    this.#children.get(parent).push(kept.id);
    this.#choose(kept.id);
    this.leaf = kept.id;
    return kept;
  }

  /** The message of this id; undefined where there is none. */
  get(id) {
    return this.#messages.get(id);
  }

  /** Whether nothing has been said. */
  get isEmpty() {
    return this.#messages.size === 0;
  }

  /** Every message, parents first. */
  get messages() {
    return [...this.#messages.values()];
  }

  /** The messages from the first one to `id`. */
  path(id = this.leaf) {
    const found = [];
    for (let at = this.#messages.get(id); at; at = this.#messages.get(at.parent)) found.push(at);
    return found.reverse();
  }

  /** The messages that stand in the same place, and which of them this one is. */
  versions(id) {
    const ids = this.#children.get(this.#messages.get(id)?.parent ?? null) ?? [];
    return { ids: [...ids], place: ids.indexOf(id) };
  }

  /** Shows the branch of a message, down to the end that was last shown there. */
  show(id) {
    this.#choose(id);
    let end = id;
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) end = next;
    this.leaf = end;
  }

  /** Shows the version that stands `by` places further; nothing changes at either end. */
  turn(id, by) {
    const { ids, place } = this.versions(id);
    const wanted = ids[place + by];
    if (wanted !== undefined) this.show(wanted);
    return wanted;
  }

  /** Takes a message with all below it away; returns them, so that `restore` can undo it. */
  remove(id) {
    const { parent } = this.#messages.get(id);
    const gone = this.messages.filter((each) => this.path(each.id).some((at) => at.id === id));
    const shown = this.leaf;
    const siblings = this.#children.get(parent);
    const place = siblings.indexOf(id);
    siblings.splice(place, 1);
    for (const message of gone) {
      this.#messages.delete(message.id);
      this.#children.delete(message.id);
      this.#chosen.delete(message.id);
    }
    const neighbour = siblings[Math.max(0, place - 1)];
    this.#chosen.delete(parent);
    if (gone.some((message) => message.id === shown)) {
      this.leaf = parent;
      if (neighbour !== undefined) this.show(neighbour);
    }
    return { gone, shown };
  }

  /** Puts back what `remove` took. */
  restore({ gone, shown }) {
    for (const message of gone) this.add(message);
    if (this.#messages.has(shown)) this.show(shown);
  }

  #next(id) {
    const children = this.#children.get(id);
    return this.#chosen.get(id) ?? children?.[children.length - 1];
  }

  #choose(id) {
    for (const message of this.path(id)) this.#chosen.set(message.parent, message.id);
  }
}

/** A new id for a message; unguessable is not needed, different is. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_");
}
