// What every page has: the header with pages, language, theme and help, and the common shortcuts.

import { language, LANGUAGES, say } from "../words/language.js";
import { Announcer } from "./announcer.js";
import { iconButton } from "./buttons.js";
import { openDialog } from "./dialog.js";
import { h } from "./element.js";
import { sign } from "./icons.js";
import { keepText } from "./kept.js";
import { keyNames, Shortcuts } from "./shortcuts.js";

const PAGES = { chat: "/", compare: "/compare", runs: "/runs" };
const THEMES = ["auto", "light", "dark"];

/** Builds the header of a page; returns what the page adds to: shortcuts, announcer, header. */
export function openShell(page) {
  const shortcuts = new Shortcuts();
  const announcer = new Announcer();
  document.title = `${say(`page.${page}`)} · Cutaway`;
  const links = Object.entries(PAGES).map(([name, address]) =>
    h(
      "li",
      {},
      h("a", { href: address, "aria-current": name === page ? "page" : null }, say(`page.${name}`)),
    ),
  );
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
    h("nav", { "aria-label": say("pages") }, h("ul", {}, links)),
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
  shortcuts.add("Alt+1", say("page.chat"), () => location.assign("/"));
  shortcuts.add("Alt+2", say("page.compare"), () => location.assign("/compare"));
  shortcuts.add("Alt+3", say("page.runs"), () => location.assign("/runs"));
  shortcuts.add("Alt+T", say("key.theme"), () => header.querySelector(".theme-button").click());
  return { shortcuts, announcer, header, left };
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
