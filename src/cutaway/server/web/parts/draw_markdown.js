// Draws parsed Markdown as DOM nodes; text stays text, a link is shown and opened by a click only.

import { parseMarkdown } from "../plain/markdown.js";
import { h } from "./element.js";

const TAGS = { strong: "strong", emphasis: "em", deleted: "del" };

/** The nodes of a whole Markdown text; `copyLabel` names the button above a block of code. */
export function drawMarkdown(text, { copyLabel }) {
  return parseMarkdown(text).map((block) => drawBlock(block, copyLabel));
}

/** A block of code with a button that copies it. */
export function codeBlock(text, language, copyLabel) {
  const code = h("code", {}, text);
  const copy = h(
    "button",
    {
      type: "button",
      class: "copy-code",
      on: { click: () => navigator.clipboard?.writeText(code.textContent) },
    },
    copyLabel,
  );
  const bar = h("div", { class: "code-bar" }, h("span", {}, language), copy);
  return h("div", { class: "code-block" }, bar, h("pre", { tabindex: 0 }, code));
}

function drawBlock(block, copyLabel) {
  switch (block.kind) {
    case "heading":
      // Headings of the page come first; an answer's begin below them.
      return h(`h${Math.min(6, block.level + 1)}`, {}, drawInline(block.inline));
    case "code":
      return codeBlock(block.text, block.language, copyLabel);
    case "quote":
      return h(
        "blockquote",
        {},
        block.blocks.map((each) => drawBlock(each, copyLabel)),
      );
    case "list":
      return drawList(block, copyLabel);
    case "table":
      return drawTable(block);
    case "rule":
      return h("hr");
    default:
      return h("p", {}, drawInline(block.inline));
  }
}

function drawList({ ordered, start, items }, copyLabel) {
  const drawn = items.map((blocks) => {
    // An item of one paragraph is a line; it needs no paragraph's space.
    if (blocks.length > 0 && blocks[0].kind === "paragraph") {
      const rest = blocks.slice(1).map((each) => drawBlock(each, copyLabel));
      return h("li", {}, drawInline(blocks[0].inline), rest);
    }
    return h(
      "li",
      {},
      blocks.map((each) => drawBlock(each, copyLabel)),
    );
  });
  return h(ordered ? "ol" : "ul", { start: ordered && start !== 1 ? start : null }, drawn);
}

function drawTable({ align, head, rows }) {
  const row = (cells, tag) =>
    h(
      "tr",
      {},
      cells.map((cell, place) =>
        h(
          tag,
          { class: `to-${align[place]}`, scope: tag === "th" ? "col" : null },
          drawInline(cell),
        ),
      ),
    );
  const table = h(
    "table",
    {},
    h("thead", {}, row(head, "th")),
    h(
      "tbody",
      {},
      rows.map((cells) => row(cells, "td")),
    ),
  );
  return h("div", { class: "table-scroll", tabindex: 0, role: "group" }, table);
}

function drawInline(parts) {
  return parts.map((part) => {
    switch (part.kind) {
      case "text":
        return part.text;
      case "break":
        return h("br");
      case "code":
        return h("code", {}, part.text);
      case "link":
        return h(
          "a",
          {
            href: part.target,
            target: "_blank",
            rel: "noopener noreferrer nofollow",
            title: part.target,
          },
          part.text,
        );
      default:
        return h(TAGS[part.kind], {}, drawInline(part.parts));
    }
  });
}
