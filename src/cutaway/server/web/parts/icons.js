// The icons, drawn for this page on a grid of 20; each is a name and the lines that it consists of.

import { s } from "./element.js";

const LINES = {
  add: "M10 4v12M4 10h12",
  branch: "M6 4v7a4 4 0 0 0 4 4h4M14 15l-3-3M14 15l-3 3M6 4L3.5 6.5M6 4l2.5 2.5",
  check: "M4 10.5l4 4L16 6",
  close: "M5 5l10 10M15 5L5 15",
  copy: "M8 8h8v8H8zM12 8V4H4v8h4",
  dark: "M15.5 12.5A6.5 6.5 0 0 1 7.5 4.5a6.5 6.5 0 1 0 8 8z",
  down: "M10 4v11M5 10.5l5 5 5-5",
  edit: "M4 16l.8-3.4L13 4.4l2.6 2.6-8.2 8.2zM11.5 6l2.5 2.5",
  export: "M10 3v9M6.5 8.5L10 12l3.5-3.5M4 13v3.5h12V13",
  forward: "M4 10h11M10.5 5l5 5-5 5",
  help: "M7.2 7.5A2.9 2.9 0 1 1 11 10.3c-.7.3-1 .8-1 1.7M10 15.2v.1",
  left: "M12 5l-5 5 5 5",
  light:
    "M10 7a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM10 2.5v2M10 15.5v2M2.5 10h2M15.5 10h2M4.7 4.7l1.4 1.4M13.9 13.9l1.4 1.4M4.7 15.3l1.4-1.4M13.9 6.1l1.4-1.4",
  auto: "M3.5 5h13v8.5h-13zM7.5 16.5h5M10 13.5v3",
  menu: "M4 6h12M4 10h12M4 14h12",
  more: "M4.6 9.5a.5.5 0 1 0 .01 0zM10 9.5a.5.5 0 1 0 .01 0zM15.4 9.5a.5.5 0 1 0 .01 0z",
  remove: "M4 6h12M8 6V4h4v2M6 6l.7 10h6.6L14 6M8.8 9v4.5M11.2 9v4.5",
  regenerate: "M15.5 8A6 6 0 1 0 16 11.5M16 4v4h-4",
  right: "M8 5l5 5-5 5",
  search: "M9 4a5 5 0 1 0 0 10A5 5 0 0 0 9 4zM12.7 12.7L16.5 16.5",
  send: "M10 16V4.5M5 9.5l5-5 5 5",
  swap: "M4 7h11M12.5 4.5L15 7l-2.5 2.5M16 13H5M7.5 10.5L5 13l2.5 2.5",
  settings:
    "M4 6.5h7M15 6.5h1M4 13.5h1M9 13.5h7M13 4.7a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6zM7 11.7a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6z",
  stop: "M6.5 6.5h7v7h-7z",
  tokens: "M3 5h5v4H3zM10 5h7v4h-7zM3 11h8v4H3zM13 11h4v4h-4z",
};

/** The icon of this name; it says nothing to a screen reader, so its button must have a label. */
export function icon(name) {
  return s(
    "svg",
    { class: "icon", viewBox: "0 0 20 20", "aria-hidden": "true", focusable: "false" },
    s("path", { d: LINES[name] }),
  );
}

/** The sign of the project: a machine with part of its shell removed. */
export function sign() {
  return s(
    "svg",
    { class: "sign", viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" },
    s("path", { class: "shell", d: "M12 2a10 10 0 1 0 10 10h-5a5 5 0 1 1-5-5z" }),
    s("path", { class: "inside", d: "M14 2.2A10 10 0 0 1 21.8 10H17a5 5 0 0 0-3-3z" }),
    s("circle", { class: "heart", cx: 12, cy: 12, r: 2 }),
  );
}
