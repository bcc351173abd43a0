// Laws of the settings and of the request that they make.

import assert from "node:assert/strict";
import test from "node:test";

import {
  asCode,
  checkedSettings,
  NUMBERS,
  requestFields,
  standardSettings,
} from "../../../src/cutaway/server/web/plain/settings.js";

test("what was kept and makes no sense is as at the beginning", () => {
  const standard = standardSettings();
  for (const kept of [
    null,
    7,
    "x",
    [],
    { temperature: 99, cut: "eval", seed: -1, stop: 4, isStreamed: "yes", other: 1 },
  ]) {
    assert.deepEqual(checkedSettings(kept), standard);
  }
  assert.equal(checkedSettings({ temperature: 0.3 }).temperature, 0.3);
});

test("a request names one cut at most, and no penalty that does nothing", () => {
  const fields = requestFields(standardSettings(), 5);
  assert.deepEqual(Object.keys(fields).sort(), ["max_tokens", "seed", "temperature", "top_p"]);
  const greedy = requestFields(
    { ...standardSettings(), temperature: 0, cut: "top_k", presence_penalty: 1, stop: "a\n\nb" },
    5,
  );
  assert.equal(greedy.top_k, undefined);
  assert.equal(greedy.presence_penalty, 1);
  assert.deepEqual(greedy.stop, ["a", "b"]);
});

test("every standard lies within its range", () => {
  for (const { low, high, standard } of Object.values(NUMBERS))
    assert.ok(low <= standard && standard <= high);
});

test("a quotation mark in a question does not end the command", () => {
  const { curl, python } = asCode({
    origin: "http://a",
    model: "m",
    messages: [{ role: "user", content: 'it\'s "x"' }],
    fields: { seed: 1, top_k: 4 },
  });
  assert.ok(curl.includes("it'\\''s"));
  assert.ok(python.includes('extra_body={"top_k":4}'));
});
