// Laws of the Markdown that is drawn: known forms, nothing lost, nothing dangerous, linear time.

import assert from "node:assert/strict";
import test from "node:test";

import { parseInline, safeAddress } from "../../../src/cutaway/server/web/plain/inline.js";
import { closedUntil, parseMarkdown } from "../../../src/cutaway/server/web/plain/markdown.js";
import { numbers } from "./numbers.mjs";

const text = (words) => ({ kind: "text", text: words });
const kinds = (source) => parseMarkdown(source).map(({ kind }) => kind);

/** All text in what was parsed, without what was markup. */
function letters(part) {
  if (Array.isArray(part)) return part.map(letters).join("");
  if (typeof part !== "object" || part === null) return "";
  const own = typeof part.text === "string" ? part.text : "";
  return (
    own +
    ["inline", "blocks", "items", "parts", "head", "rows"]
      .map((name) => letters(part[name]))
      .join("")
  );
}

test("blocks are known by how they begin", () => {
  assert.deepEqual(
    kinds("# a\n\nb\nc\n\n- d\n- e\n\n> f\n\n```\ng\n```\n\n---\n\n|h|i|\n|-|-|\n|j|k|"),
    ["heading", "paragraph", "list", "quote", "code", "rule", "table"],
  );
});

test("a list holds its items, and lists within them", () => {
  const [list] = parseMarkdown("3. one\n4. two\n   - inner\n   - more\n5. three");
  assert.equal(list.ordered, true);
  assert.equal(list.start, 3);
  assert.equal(list.items.length, 3);
  assert.equal(list.items[1][1].kind, "list");
  assert.equal(list.items[1][1].items.length, 2);
});

test("items that are apart are one list", () => {
  const [list, ...others] = parseMarkdown("- one\n\n- two\n\n- three");
  assert.equal(list.items.length, 3);
  assert.equal(others.length, 0);
});

test("code is kept as it was written, whatever stands in it", () => {
  const [block] = parseMarkdown("```python\nif a < b:\n    **c**\n\n# d\n```");
  assert.deepEqual(block, {
    kind: "code",
    language: "python",
    text: "if a < b:\n    **c**\n\n# d",
  });
});

test("a fence that is not closed reaches to the end", () => {
  assert.deepEqual(kinds("```\na\n\nb"), ["code"]);
});

test("a table has the alignment of its second line and as many cells as its first", () => {
  const [table] = parseMarkdown("| a | b |\n|:--|--:|\n| c |\n| d | e | f |");
  assert.deepEqual(table.align, ["left", "right"]);
  assert.deepEqual(
    table.rows.map((row) => row.length),
    [2, 2],
  );
});

test("emphasis, code and links stand in a line", () => {
  assert.deepEqual(parseInline("a **b** *c* `d` ~~e~~"), [
    text("a "),
    { kind: "strong", parts: [text("b")] },
    text(" "),
    { kind: "emphasis", parts: [text("c")] },
    text(" "),
    { kind: "code", text: "d" },
    text(" "),
    { kind: "deleted", parts: [text("e")] },
  ]);
  assert.deepEqual(parseInline("***b***"), [
    { kind: "strong", parts: [{ kind: "emphasis", parts: [text("b")] }] },
  ]);
  assert.deepEqual(parseInline("[a](https://b.example/c)"), [
    { kind: "link", target: "https://b.example/c", text: "a" },
  ]);
  assert.deepEqual(parseInline("see https://b.example/c.")[1].target, "https://b.example/c");
});

test("marks that close nothing are letters", () => {
  for (const source of ["2 * 3 * 4", "a_b_c", "**open", "`open", "[a](b", "a ** b **", "\\*a\\*"]) {
    assert.equal(parseInline(source).filter(({ kind }) => kind !== "text").length, 0, source);
  }
});

test("an image is a link to be clicked, never something that loads", () => {
  assert.deepEqual(parseInline("![a](https://b.example/c.png)")[0].kind, "link");
});

test("no address but http and https with a host can be opened", () => {
  const bad = [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,a",
    "vbscript:a",
    "file:///etc/passwd",
    "//b.example",
    "/a",
    "http:",
    "https://",
    "http://a:b@c.example",
    "https://a\u202eb.example",
    "java\nscript:a",
    " https://a b.example",
    "blob:https://a",
    "http:\\\\a",
  ];
  for (const address of bad) assert.equal(safeAddress(address), null, address);
  assert.equal(safeAddress("https://a.example/b?c=d#e"), "https://a.example/b?c=d#e");
});

test("no letter of a plain text is lost, and nothing throws, whatever comes", () => {
  const draw = numbers(4);
  const parts = [
    "a",
    "水",
    " ",
    "\n",
    "\n\n",
    "*",
    "**",
    "_",
    "`",
    "```",
    "#",
    "- ",
    "1. ",
    "> ",
    "|",
    "|-|",
    "[",
    "](",
    ")",
    "!",
    "~~",
    "\\",
    "https://a.b",
    "  ",
    "\t",
    "<b>",
    "&amp;",
  ];
  for (let round = 0; round < 4000; round += 1) {
    const source = Array.from({ length: 1 + draw(30) }, () => parts[draw(parts.length)]).join("");
    const found = letters(parseMarkdown(source));
    for (const letter of ["水", "<b>", "&amp;"]) {
      // An address and a fence's language are no text.
      if (/https|```|\[|\|/.test(source)) continue;
      assert.equal(found.split(letter).length, source.split(letter).length, JSON.stringify(source));
    }
  }
});

test("a text of twice the length takes about twice the time", () => {
  const rows = [
    "*",
    "_",
    "**a",
    "[",
    "![",
    "[](",
    "`",
    "`a",
    "``a`",
    "~~",
    "> ",
    "- ",
    "|",
    "\\",
    "a](",
    "https://",
    "\n",
    "- a\n",
    "> a\n",
    "|a|b|\n",
    "# a\n",
    "1. a\n\n",
  ];
  for (const row of rows) {
    const began = performance.now();
    parseMarkdown(row.repeat(Math.floor(60000 / row.length)));
    assert.ok(performance.now() - began < 1500, JSON.stringify(row));
  }
});

test("nesting has an end", () => {
  assert.ok(JSON.stringify(parseMarkdown(`${"> ".repeat(5000)}a`)).length < 40000);
  const depth = (part) => (part.parts ? 1 + Math.max(0, ...part.parts.map(depth)) : 0);
  assert.ok(Math.max(...parseInline("**a _b ~~c ".repeat(2000)).map(depth)) < 10);
});

test("what is closed of a growing text is never drawn otherwise later", () => {
  const source = "# a\n\nb\n\n- c\n- d\n\n```\ne\n\nf\n```\ng\n\nh";
  for (let end = 0; end <= source.length; end += 1) {
    const closed = closedUntil(source.slice(0, end));
    assert.ok(closed <= end);
    const parts = [
      ...parseMarkdown(source.slice(0, closed)),
      ...parseMarkdown(source.slice(closed)),
    ];
    assert.deepEqual(parts, parseMarkdown(source), `${end}`);
  }
});
