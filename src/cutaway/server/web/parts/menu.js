// A small menu below a button: arrow keys move in it, Esc leaves it.

import { h } from "./element.js";

/** Opens a menu of `{words, run}` below a button. */
export function openMenu(button, entries) {
  document.querySelector(".menu")?.remove();
  const close = () => {
    menu.remove();
    document.removeEventListener("pointerdown", outside, true);
    button.setAttribute("aria-expanded", "false");
  };
  const outside = (event) => {
    if (!menu.contains(event.target)) close();
  };
  const items = entries.map(({ words, run }) =>
    h(
      "button",
      {
        type: "button",
        role: "menuitem",
        tabindex: -1,
        on: {
          click: () => {
            close();
            button.focus();
            run();
          },
        },
      },
      words,
    ),
  );
  const menu = h(
    "div",
    {
      class: "menu",
      role: "menu",
      on: {
        keydown: (event) => {
          const at = items.indexOf(document.activeElement);
          const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[
            event.key
          ];
          if (event.key === "Escape" || event.key === "Tab") {
            close();
            button.focus();
          } else if (next === undefined) return;
          else items[(next + items.length) % items.length].focus();
          event.preventDefault();
          event.stopPropagation();
        },
      },
    },
    items,
  );
  document.body.append(menu);
  const from = button.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  menu.style.left = `${Math.max(8, Math.min(from.left, window.innerWidth - width - 8))}px`;
  const isRoomBelow = from.bottom + height + 8 <= window.innerHeight;
  menu.style.top = `${isRoomBelow ? from.bottom + 4 : Math.max(8, from.top - height - 4)}px`;
  button.setAttribute("aria-expanded", "true");
  document.addEventListener("pointerdown", outside, true);
  items[0].focus();
}
