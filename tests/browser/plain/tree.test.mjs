// Laws of the tree of a conversation.

import assert from "node:assert/strict";
import test from "node:test";

import { newId, Tree } from "../../../src/cutaway/server/web/plain/tree.js";
import { numbers } from "./numbers.mjs";

const message = (id, parent, role = "user") => ({ id, parent, role, content: id });
const shown = (tree) => tree.path().map(({ id }) => id);

function grown() {
  return new Tree([
    message("q", null),
    message("a1", "q"),
    message("a2", "q"),
    message("q2", "a2"),
    message("b", "q2"),
  ]);
}

test("the branch that is shown ends in what was added last", () => {
  assert.deepEqual(shown(grown()), ["q", "a2", "q2", "b"]);
});

test("an answer given again keeps the one before as a version", () => {
  const tree = grown();
  assert.deepEqual(tree.versions("a2"), { ids: ["a1", "a2"], place: 1 });
  tree.turn("a2", -1);
  assert.deepEqual(shown(tree), ["q", "a1"]);
});

test("a branch that is shown again is shown down to where it was left", () => {
  const tree = grown();
  tree.add(message("c", "q2"));
  tree.turn("c", -1);
  tree.turn("a2", -1);
  tree.turn("a1", 1);
  assert.deepEqual(shown(tree), ["q", "a2", "q2", "b"]);
});

test("there is no version before the first and none after the last", () => {
  const tree = grown();
  assert.equal(tree.turn("a2", 1), undefined);
  assert.equal(tree.turn("q", -1), undefined);
  assert.deepEqual(shown(tree), ["q", "a2", "q2", "b"]);
});

test("an edited first question is another branch from the beginning", () => {
  const tree = grown();
  tree.add(message("other", null));
  assert.deepEqual(tree.versions("q").ids, ["q", "other"]);
  assert.deepEqual(shown(tree), ["other"]);
});

test("what was taken away comes back as it was", () => {
  const draw = numbers(3);
  for (let round = 0; round < 200; round += 1) {
    const tree = new Tree();
    const ids = [null];
    for (let count = 0; count < 12; count += 1) {
      tree.add(message(`m${count}`, ids[draw(ids.length)]));
      ids.push(`m${count}`);
    }
    const before = { path: shown(tree), all: tree.messages.map(({ id }) => id).sort() };
    const gone = tree.remove(`m${draw(12)}`);
    assert.ok(tree.messages.every(({ parent }) => parent === null || tree.get(parent)));
    tree.restore(gone);
    assert.deepEqual({ path: shown(tree), all: tree.messages.map(({ id }) => id).sort() }, before);
  }
});

test("a tree that is written down and read again shows the same", () => {
  const tree = grown();
  tree.turn("a2", -1);
  assert.deepEqual(shown(new Tree(tree.messages, tree.leaf)), shown(tree));
});

test("an unknown parent or leaf is no error, and a message cannot stand twice", () => {
  const tree = new Tree([message("a", "nowhere")], "nowhere either");
  assert.deepEqual(shown(tree), ["a"]);
  assert.throws(() => tree.add(message("a", null)));
});

test("ids differ and are safe in an address", () => {
  const ids = Array.from({ length: 1000 }, newId);
  assert.equal(new Set(ids).size, 1000);
  assert.ok(ids.every((id) => /^[\w-]{12}$/.test(id)));
});
