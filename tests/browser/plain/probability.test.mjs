// Laws of surprise and of a token's rivals.

import assert from "node:assert/strict";
import test from "node:test";

import {
  LEVELS,
  perplexity,
  rest,
  rivals,
  surprise,
  surpriseLevel,
  visible,
} from "../../../src/cutaway/server/web/plain/probability.js";

const token = (name, share, after) => ({
  token: name,
  logprob: Math.log(share),
  bytes: [...name].map((letter) => letter.charCodeAt(0)),
  sampled_logprob: after,
});

test("one of two equal tokens is one bit of surprise, a certain one none", () => {
  assert.ok(Math.abs(surprise(Math.log(0.5)) - 1) < 1e-12);
  assert.equal(surprise(0), 0);
  assert.equal(surprise(1e-9), 0);
});

test("levels rise with surprise and stay within the palette", () => {
  const levels = [1, 0.95, 0.6, 0.2, 0.05, 0.01, 0.001, 1e-9, 0].map((share) =>
    surpriseLevel(Math.log(share)),
  );
  assert.deepEqual(
    levels,
    [...levels].sort((one, other) => one - other),
  );
  assert.equal(levels[0], 0);
  assert.equal(levels.at(-1), LEVELS - 1);
});

test("the chosen token is among its rivals once, also where it was not listed", () => {
  const listed = [token("a", 0.6, Math.log(0.7)), token("b", 0.3, null)];
  const inside = rivals({ ...listed[1], top_logprobs: listed });
  assert.deepEqual(
    inside.map(({ token: name, isChosen, after }) => [name, isChosen, after > 0]),
    [
      ["a", false, true],
      ["b", true, false],
    ],
  );
  const outside = rivals({ ...token("c", 0.01, Math.log(0.02)), top_logprobs: listed });
  assert.deepEqual(
    outside.map(({ token: name }) => name),
    ["a", "b", "c"],
  );
});

test("where the server tells no share after the cuts, none is invented", () => {
  assert.equal(rivals({ ...token("a", 0.5), top_logprobs: [] })[0].after, null);
});

test("what nobody has is the rest, and never less than nothing", () => {
  assert.ok(Math.abs(rest([0.5, 0.2]) - 0.3) < 1e-12);
  assert.equal(rest([0.7, 0.31]), 0);
});

test("perplexity is the number of equal choices", () => {
  assert.ok(Math.abs(perplexity([Math.log(0.25), Math.log(0.25)]) - 4) < 1e-9);
  assert.equal(perplexity([]), null);
});

test("spaces at the ends, tabs and line ends can be seen", () => {
  assert.equal(visible(" a b\n"), "␣a b↵");
  assert.equal(visible(""), "∅");
});
