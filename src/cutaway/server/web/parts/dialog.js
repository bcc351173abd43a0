// Windows over the page: the browser's own dialog, which keeps the focus inside and gives it back.

import { iconButton } from "./buttons.js";
import { h } from "./element.js";

/** Opens a window with a title; Esc, its cross or a click beside it closes it. */
export function openDialog({ title, closeLabel, body, className = "" }) {
  const id = `dialog-${Math.random().toString(36).slice(2)}`;
  const dialog = h(
    "dialog",
    {
      class: `window ${className}`,
      "aria-labelledby": id,
      on: {
        close: () => dialog.remove(),
        click: (event) => event.target === dialog && dialog.close(),
      },
    },
    h(
      "div",
      { class: "window-inside" },
      h(
        "div",
        { class: "window-head" },
        h("h2", { id }, title),
        iconButton("close", closeLabel, () => dialog.close()),
      ),
      body,
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Asks for one line of text; the promise gives it, or null where it was left. */
export function askLine({ title, closeLabel, label, value = "", okLabel, kind = "text" }) {
  return new Promise((resolve) => {
    let answer = null;
    const field = h("input", {
      type: kind,
      id: "asked-line",
      value,
      maxlength: 400,
      autocomplete: "off",
      autofocus: true,
    });
    const form = h(
      "form",
      {
        class: "ask",
        on: {
          submit: (event) => {
            event.preventDefault();
            answer = field.value;
            dialog.close();
          },
        },
      },
      h("label", { for: "asked-line" }, label),
      field,
      h("button", { type: "submit", class: "button main" }, okLabel),
    );
    const dialog = openDialog({ title, closeLabel, body: form, className: "narrow" });
    field.select();
    dialog.addEventListener("close", () => resolve(answer));
  });
}
