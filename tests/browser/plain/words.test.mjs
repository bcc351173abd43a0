// Laws of the words: both languages say everything, and every word that is asked for is there.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";

import { Format } from "../../../src/cutaway/server/web/plain/format.js";
import { NUMBERS } from "../../../src/cutaway/server/web/plain/settings.js";
import { chinese } from "../../../src/cutaway/server/web/words/chinese.js";
import { english } from "../../../src/cutaway/server/web/words/english.js";
import { chooseLanguage, speaker } from "../../../src/cutaway/server/web/words/language.js";

const WEB = join(dirname(fileURLToPath(import.meta.url)), "../../../src/cutaway/server/web");

function sources(folder) {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter(
      (entry) =>
        entry.isFile() && entry.name.endsWith(".js") && !entry.parentPath.endsWith("words"),
    )
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), "utf8"));
}

const isPlural = (key) => /\.(one|two|few|many|other)$/.test(key);

test("both languages have the same keys and the same places for values", () => {
  const keys = (catalog) =>
    Object.keys(catalog)
      .filter((key) => !isPlural(key))
      .sort();
  assert.deepEqual(keys(chinese), keys(english));
  for (const key of keys(english)) {
    const places = (words) => [...new Set(words.match(/\{\w+\}/g))].sort();
    assert.deepEqual(places(chinese[key]), places(english[key]), key);
  }
});

test("every word that the page asks for is there, and none that it never asks for", () => {
  const all = sources(WEB).join("\n");
  const asked = [...all.matchAll(/say\(\s*"([^"]+)"/g)].map(([, key]) => key);
  for (const key of asked) assert.ok(key in english, key);
  const families = [...all.matchAll(/say\(`([^$`]*)\$\{/g)].map(([, begin]) => begin);
  const named = new Set([...all.matchAll(/"([\w.]+)"/g)].map(([, word]) => word));
  const unused = Object.keys(english).filter(
    (key) => !isPlural(key) && !named.has(key) && !families.some((begin) => key.startsWith(begin)),
  );
  assert.deepEqual(unused, []);
});

test("every number that can be set is named and explained", () => {
  for (const name of Object.keys(NUMBERS))
    assert.ok(`setting.${name}` in english && `setting.${name}.explained` in english, name);
});

test("Chinese is for who asks for it, English for all others", () => {
  assert.deepEqual(["zh-CN", "zh-TW", "ZH", "en-GB", "de", ""].map(chooseLanguage), [
    "zh-CN",
    "zh-CN",
    "zh-CN",
    "en",
    "en",
    "en",
  ]);
});

test("one is said otherwise than many", () => {
  const say = speaker("en");
  assert.equal(say("told.tokens", { count: 1 }), "1 token");
  assert.equal(say("told.tokens", { count: 2 }), "2 tokens");
  assert.throws(() => say("no such words"));
});

test("numbers, shares and times are written as one reads them", () => {
  const format = new Format("en");
  assert.equal(format.number(1234.5), "1,235");
  assert.equal(format.number(0.012345), "0.0123");
  assert.equal(format.number(NaN), "–");
  assert.equal(format.percent(0.5), "50%");
  assert.equal(format.percent(0.0001), "<0.1%");
  assert.equal(format.percent(0.9999), ">99%");
  assert.equal(format.percent(1), "100%");
  assert.equal(format.percent(0), "0.0%");
  assert.equal(format.seconds(0.0123), "12 ms");
  assert.equal(format.seconds(75), "1 min 15 s");
  assert.equal(format.ago(1000, 1000 + 3 * 86400 * 1000), "3 days ago");
});
