// What every page has: the header with pages, language, theme and help, and the common shortcuts.

import { language, LANGUAGES, say } from "../words/language.js";
import { Announcer } from "./announcer.js";
import { iconButton } from "./buttons.js";
import { openDialog } from "./dialog.js";
import { fill, h } from "./element.js";
import { sign } from "./icons.js";
import { keep, keepText, recall } from "./kept.js";
import { fetchJson } from "./service.js";
import { keyNames, Shortcuts } from "./shortcuts.js";

const PAGES = { chat: "/", compare: "/compare", runs: "/runs", label: "/label" };
const USUAL = ["chat", "compare", "runs"]; // until the server has said which it has
const THEMES = ["auto", "light", "dark"];

/** Builds the header of a page; returns what the page adds to: shortcuts, announcer, header. */
export function openShell(page) {
  const shortcuts = new Shortcuts();
  const announcer = new Announcer();
  document.title = `${say(`page.${page}`)} · Cutaway`;
  const links = h("ul", {}, recall("pages", USUAL).map((name) => pageLink(name, page)));
  const left = h("div", { class: "header-left" });
  const header = h(
    "header",
    { class: "header" },
    h("a", { class: "skip", href: "#main" }, say("skip")),
    left,
    h(
      "a",
      { class: "brand", href: "/", "aria-label": say("home") },
      sign(),
      h("span", {}, "Cutaway"),
    ),
    h("nav", { "aria-label": say("pages") }, links),
    h(
      "div",
      { class: "header-right" },
      languageButton(),
      themeButton(announcer),
      iconButton("help", say("help"), () => showHelp(shortcuts)),
    ),
  );
  document.body.prepend(header);
  shortcuts.add("?", say("key.help"), () => showHelp(shortcuts));
  shortcuts.add("Control+/", say("key.help"), () => showHelp(shortcuts));
  shortcuts.add("Alt+T", say("key.theme"), () => header.querySelector(".theme-button").click());
  addPages(page, { links, shortcuts });
  return { shortcuts, announcer, header, left };
}

function pageLink(name, page) {
  const current = name === page ? "page" : null;
  return h("li", {}, h("a", { href: PAGES[name], "aria-current": current }, say(`page.${name}`)));
}

/** Links to the pages that this server has, and keys for them in the same order. */
async function addPages(page, { links, shortcuts }) {
  let names = recall("pages", USUAL);
  try {
    const { pages } = await fetchJson("/api/pages");
    names = Object.keys(PAGES).filter((name) => pages.includes(PAGES[name]));
    keep("pages", names);
    fill(links, names.map((name) => pageLink(name, page)));
  } catch {
    // The page itself tells that the server is away.
  }
  names.forEach((name, place) => {
    shortcuts.add(`Alt+${place + 1}`, say(`page.${name}`), () => location.assign(PAGES[name]));
  });
}

function languageButton() {
  const other = Object.keys(LANGUAGES).find((name) => name !== language);
  const change = () => {
    keepText("language", other);
    location.reload();
  };
  // Its words are in the language that it changes to, for whom cannot read this one.
  return h(
    "button",
    {
      type: "button",
      class: "language-button",
      lang: other,
      title: LANGUAGES[other],
      on: { click: change },
    },
    LANGUAGES[other],
  );
}

function themeButton(announcer) {
  const root = document.documentElement;
  const current = () => root.dataset.theme ?? "auto";
  const make = () => {
    const theme = current();
    return iconButton(theme, say(`theme.${theme}`), change, { class: "icon-button theme-button" });
  };
  const change = () => {
    const next = THEMES[(THEMES.indexOf(current()) + 1) % THEMES.length];
    if (next === "auto") delete root.dataset.theme;
    else root.dataset.theme = next;
    keepText("theme", next === "auto" ? null : next);
    const fresh = make();
    const hadFocus = document.activeElement === button;
    button.replaceWith(fresh);
    button = fresh;
    if (hadFocus) fresh.focus();
    announcer.say(say(`theme.${next}`));
  };
  let button = make();
  return button;
}

function showHelp(shortcuts) {
  if (document.querySelector("dialog[open]")) return;
  const byWords = new Map();
  for (const { keys, words } of shortcuts.all) {
    if (!byWords.has(words)) byWords.set(words, []);
    byWords.get(words).push(keys);
  }
  const rows = [...byWords].map(([words, all]) =>
    h(
      "div",
      { class: "key-row" },
      h("dt", {}, words),
      h(
        "dd",
        {},
        all.map((keys) =>
          h(
            "span",
            { class: "keys" },
            keyNames(keys).map((key) => h("kbd", {}, key)),
          ),
        ),
      ),
    ),
  );
  openDialog({
    title: say("help.title"),
    closeLabel: say("close"),
    body: h("dl", { class: "key-list", tabindex: 0 }, rows),
  });
}
