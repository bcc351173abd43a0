// The Markdown that models write, as plain objects: blocks here, what stands in a line in inline.js.

import { parseInline } from "./inline.js";

const DEEPEST = 6; // quotes and lists inside each other; what is deeper is shown as it was written

/** The blocks of a text: `{kind, ...}`; nothing in them is markup, every string is text. */
export function parseMarkdown(text, depth = 0) {
  const lines = text.replaceAll("\r\n", "\n").replaceAll("\r", "\n").split("\n");
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    if (lines[at].trim() === "") {
      at += 1;
      continue;
    }
    const taken = take(lines, at, depth);
    blocks.push(taken.block);
    at = taken.next;
  }
  return blocks;
}

/** Up to which place a text that still grows consists of blocks that are over. */
export function closedUntil(text) {
  let fence = null;
  let closed = 0;
  let at = 0;
  for (;;) {
    const end = text.indexOf("\n", at);
    if (end < 0) return closed;
    const line = text.slice(at, end);
    if (fence) {
      if (closes(line, fence)) {
        fence = null;
        closed = end + 1;
      }
    } else if (opensFence(line)) {
      fence = opensFence(line);
      closed = at;
    } else if (line.trim() === "") {
      closed = end + 1;
    }
    at = end + 1;
  }
}

/** The fence that a line opens, with the language after it; null where it opens none. */
export function opensFence(line) {
  const found = /^ {0,3}(`{3,}|~{3,})([^`]*)$/.exec(line);
  return found && { mark: found[1], language: found[2].trim().split(/\s/)[0].slice(0, 40) };
}

function closes(line, fence) {
  const mark = line.trim();
  return mark.length >= fence.mark.length && mark === fence.mark[0].repeat(mark.length);
}

function take(lines, at, depth) {
  const line = lines[at];
  const fence = opensFence(line);
  if (fence) return takeCode(lines, at, fence);
  const heading = /^ {0,3}(#{1,6})[ \t]+(.*)$/.exec(line);
  if (heading) {
    const words = heading[2].replace(/[ \t]#+[ \t]*$/, "");
    const block = { kind: "heading", level: heading[1].length, inline: parseInline(words.trim()) };
    return { block, next: at + 1 };
  }
  if (isRule(line)) return { block: { kind: "rule" }, next: at + 1 };
  if (depth < DEEPEST && /^ {0,3}>/.test(line)) return takeQuote(lines, at, depth);
  if (depth < DEEPEST && marker(line)) return takeList(lines, at, depth);
  if (isTable(lines, at)) return takeTable(lines, at);
  return takeParagraph(lines, at, depth);
}

function takeCode(lines, at, fence) {
  let next = at + 1;
  while (next < lines.length && !closes(lines[next], fence)) next += 1;
  const text = lines.slice(at + 1, next).join("\n");
  return { block: { kind: "code", language: fence.language, text }, next: next + 1 };
}

function takeQuote(lines, at, depth) {
  let next = at;
  const inner = [];
  while (next < lines.length && /^ {0,3}>/.test(lines[next])) {
    inner.push(lines[next].replace(/^ {0,3}> ?/, ""));
    next += 1;
  }
  const blocks = parseMarkdown(inner.join("\n"), depth + 1);
  return { block: { kind: "quote", blocks }, next };
}

function takeList(lines, at, depth) {
  const first = marker(lines[at]);
  const items = [];
  let next = at;
  while (next < lines.length) {
    const here = marker(lines[next]);
    if (!here || here.ordered !== first.ordered || here.indent > first.indent + 3) break;
    const inner = [here.rest];
    next += 1;
    while (next < lines.length && belongs(lines, next, here)) {
      inner.push(lines[next].slice(Math.min(here.width, leading(lines[next]))));
      next += 1;
    }
    items.push(parseMarkdown(inner.join("\n"), depth + 1));
    let after = next;
    while (after < lines.length && lines[after].trim() === "") after += 1;
    if (after < lines.length && marker(lines[after])) next = after;
  }
  return { block: { kind: "list", ordered: first.ordered, start: first.start, items }, next };
}

/** Whether a line goes on with the item: indented, or more of its paragraph. */
function belongs(lines, at, item) {
  const line = lines[at];
  if (line.trim() === "") {
    const following = lines[at + 1];
    return following !== undefined && following.trim() !== "" && leading(following) >= item.width;
  }
  if (leading(line) >= item.width) return true;
  return lines[at - 1].trim() !== "" && !marker(line) && !begins(line);
}

function takeTable(lines, at) {
  const align = cells(lines[at + 1]).map((cell) =>
    cell.endsWith(":") ? (cell.startsWith(":") ? "center" : "right") : "left",
  );
  const row = (line) => {
    const found = cells(line);
    return align.map((_, place) => parseInline(found[place] ?? ""));
  };
  const block = { kind: "table", align, head: row(lines[at]), rows: [] };
  let next = at + 2;
  while (next < lines.length && lines[next].includes("|") && lines[next].trim() !== "") {
    block.rows.push(row(lines[next]));
    next += 1;
  }
  return { block, next };
}

function takeParagraph(lines, at, depth) {
  let next = at + 1;
  while (next < lines.length && lines[next].trim() !== "" && !begins(lines[next])) {
    if (depth < DEEPEST && marker(lines[next])) break;
    next += 1;
  }
  const words = lines.slice(at, next).map((line) => line.replace(/^[ \t]+/, ""));
  return { block: { kind: "paragraph", inline: parseInline(words.join("\n").trimEnd()) }, next };
}

/** Whether a line begins another block even right after a paragraph. */
function begins(line) {
  return opensFence(line) !== null || /^ {0,3}(#{1,6}[ \t]|>)/.test(line) || isRule(line);
}

function isRule(line) {
  const marks = line.replaceAll(" ", "").replaceAll("\t", "");
  return marks.length >= 3 && "-*_".includes(marks[0]) && marks === marks[0].repeat(marks.length);
}

function marker(line) {
  const found = /^( {0,12})(?:([-*+])|(\d{1,9})[.)])(?:[ \t]+|$)/.exec(line);
  if (!found || isRule(line)) return null;
  const ordered = found[3] !== undefined;
  const rest = line.slice(found[0].length);
  const start = ordered ? Number(found[3]) : 1;
  return { ordered, start, indent: found[1].length, width: found[1].length + 2, rest };
}

function leading(line) {
  return line.length - line.trimStart().length;
}

function isTable(lines, at) {
  const rule = lines[at + 1];
  if (rule === undefined || !lines[at].includes("|") || !rule.includes("-")) return false;
  const marks = cells(rule);
  return marks.length === cells(lines[at]).length && marks.every((cell) => /^:?-+:?$/.test(cell));
}

/** The cells of a row; a bar after a backslash or between backticks is no border. */
function cells(line) {
  const found = [];
  let cell = "";
  let code = false;
  const inner = line.trim().replace(/^\|/, "").replace(/\|$/, "");
  for (let place = 0; place < inner.length; place += 1) {
    const letter = inner[place];
    if (letter === "\\" && inner[place + 1] === "|") {
      cell += "|";
      place += 1;
    } else if (letter === "|" && !code) {
      found.push(cell.trim());
      cell = "";
    } else {
      if (letter === "`") code = !code;
      cell += letter;
    }
  }
  found.push(cell.trim());
  return found;
}
