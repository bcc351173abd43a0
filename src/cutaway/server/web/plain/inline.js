// What stands in a line of Markdown: emphasis, code and links, in one pass from left to right.

const MARKS = { "**": "strong", __: "strong", "*": "emphasis", _: "emphasis", "~~": "deleted" };
const PUNCTUATION = /[!-/:-@[-`{-~]/;
const WORD = /[\p{L}\p{N}]/u;
const LONGEST_ADDRESS = 2000;

/** The parts of a line: text is `{kind: "text", text}`, all others hold parts or text. */
export function parseInline(text) {
  // Marks that are open, outermost first; each holds what has come since.
  const open = [{ kind: "root", mark: "", parts: [] }];
  const top = () => open[open.length - 1].parts;
  const write = (letters) => {
    const last = top()[top().length - 1];
    if (last?.kind === "text") last.text += letters;
    else top().push({ kind: "text", text: letters });
  };
  const giveUp = () => {
    const { mark, parts } = open.pop();
    write(mark);
    for (const part of parts) part.kind === "text" ? write(part.text) : top().push(part);
  };

  const unclosed = new Set();
  const ahead = new Ahead();
  let at = 0;
  while (at < text.length) {
    const special =
      escaped(text, at) ??
      lineBreak(text, at) ??
      code(text, at, unclosed) ??
      link(text, at, ahead) ??
      address(text, at);
    if (special) {
      special.text === undefined ? top().push(special.part) : write(special.text);
      at += special.length;
      continue;
    }
    const mark = markAt(text, at, open[open.length - 1].mark);
    if (!mark) {
      write(text[at]);
      at += 1;
      continue;
    }
    const place = open.findLastIndex((each) => each.mark === mark);
    if (place > 0 && canClose(text, at, mark)) {
      while (open.length - 1 > place) giveUp();
      const { parts } = open.pop();
      top().push({ kind: MARKS[mark], parts });
    } else if (place < 0 && canOpen(text, at, mark) && open.length <= 8) {
      open.push({ kind: "open", mark, parts: [] });
    } else {
      write(mark);
    }
    at += mark.length;
  }
  while (open.length > 1) giveUp();
  return open[0].parts;
}

/** Remembers where the next of something is, so that a row of brackets is not searched each time. */
class Ahead {
  #known = new Map();

  find(text, wanted, from) {
    const known = this.#known.get(wanted);
    if (known && from >= known.from && (known.place < 0 || from <= known.place)) return known.place;
    const place = text.indexOf(wanted, from);
    this.#known.set(wanted, { from, place });
    return place;
  }
}

function escaped(text, at) {
  if (text[at] !== "\\" || at + 1 >= text.length || !PUNCTUATION.test(text[at + 1])) return null;
  return { text: text[at + 1], length: 2 };
}

function lineBreak(text, at) {
  if (text[at] !== "\n") return null;
  return { part: { kind: "break" }, length: 1 };
}

function code(text, at, unclosed) {
  if (text[at] !== "`") return null;
  let size = 1;
  while (text[at + size] === "`") size += 1;
  const fence = "`".repeat(size);
  let end = unclosed.has(size) ? -1 : text.indexOf(fence, at + size);
  while (end >= 0) {
    let run = size;
    while (text[end + run] === "`") run += 1;
    if (run === size) {
      const inner = text.slice(at + size, end);
      const padded = inner.startsWith(" ") && inner.endsWith(" ") && inner.trim() !== "";
      const part = { kind: "code", text: padded ? inner.slice(1, -1) : inner };
      return { part, length: end + size - at };
    }
    end = text.indexOf(fence, end + run);
  }
  unclosed.add(size);
  return { text: fence, length: size };
}

function link(text, at, ahead) {
  const begin = text[at] === "!" ? at + 1 : at;
  if (text[begin] !== "[") return null;
  const middle = ahead.find(text, "](", begin);
  if (middle < 0 || middle - begin > LONGEST_ADDRESS) return null;
  const label = text.slice(begin + 1, middle);
  if (label.includes("[") || label.includes("\n\n")) return null;
  const end = ahead.find(text, ")", middle + 2);
  if (end < 0 || end - middle > LONGEST_ADDRESS) return null;
  const target = safeAddress(
    text
      .slice(middle + 2, end)
      .trim()
      .split(/\s/)[0],
  );
  if (target === null) return null;
  const shown = label.trim() === "" ? target : label;
  return { part: { kind: "link", target, text: shown }, length: end + 1 - at };
}

function address(text, at) {
  if (!text.startsWith("http", at) || (at > 0 && WORD.test(text[at - 1]))) return null;
  const found = /^https?:\/\/[^\s<>"'`\\^{|}]+/.exec(text.slice(at, at + LONGEST_ADDRESS));
  if (!found) return null;
  let written = found[0].replace(/[.,;:!?*_~]+$/, "");
  if (written.endsWith(")") && !written.includes("(")) written = written.slice(0, -1);
  const target = safeAddress(written);
  return target === null
    ? null
    : { part: { kind: "link", target, text: written }, length: written.length };
}

/** An address that a click may open: http or https with a host; null for every other. */
export function safeAddress(written) {
  if (!/^https?:\/\//i.test(written) || /[\p{Cc}\p{Cf}\s]/u.test(written)) return null;
  try {
    const url = new URL(written);
    const isWeb = url.protocol === "http:" || url.protocol === "https:";
    return isWeb && url.host !== "" && url.username === "" && url.password === "" ? url.href : null;
  } catch {
    return null;
  }
}

function markAt(text, at, innermost) {
  // Three at once close the single mark first where it was opened last.
  if (innermost.length === 1 && text.startsWith(innermost.repeat(3), at)) return innermost;
  const two = text.slice(at, at + 2);
  if (two in MARKS) return two;
  const one = text[at];
  return one === "*" || one === "_" ? one : null;
}

function canOpen(text, at, mark) {
  const after = text[at + mark.length];
  if (after === undefined || /\s/.test(after)) return false;
  return mark[0] !== "_" || at === 0 || !WORD.test(text[at - 1]);
}

function canClose(text, at, mark) {
  if (at === 0 || /\s/.test(text[at - 1])) return false;
  const after = text[at + mark.length];
  return mark[0] !== "_" || after === undefined || !WORD.test(after);
}
