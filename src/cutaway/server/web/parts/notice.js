// A short notice at the foot of the page, with a way to undo what it tells.

import { wordButton } from "./buttons.js";
import { h } from "./element.js";

const STAYS = 8000; // milliseconds; as long as the mouse or the focus is on it, it stays longer

/** Shows a notice; `action` is `{words, run}`. The one before it goes. */
export function notify(words, action = null) {
  document.querySelector(".notice")?.remove();
  const leave = () => notice.remove();
  const button =
    action &&
    wordButton(action.words, () => {
      leave();
      action.run();
    });
  const notice = h("div", { class: "notice", role: "status" }, h("span", {}, words), button);
  document.body.append(notice);
  const wait = () => {
    const isHeld = notice.matches(":hover") || notice.contains(document.activeElement);
    isHeld ? setTimeout(wait, 1000) : leave();
  };
  setTimeout(wait, STAYS);
}
