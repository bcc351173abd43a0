// An error where it happened: what it is, what the server said, and a way to try again.

import { say } from "../words/language.js";
import { wordButton } from "./buttons.js";
import { askLine } from "./dialog.js";
import { h } from "./element.js";
import { key } from "./service.js";

/** Draws an error; `retry` is run by its button, which counts down where the server says so. */
export function drawFailure(error, retry) {
  const kind = error.kind ?? "page";
  const button = retry && wordButton(say("retry"), () => retry(), { icon: "regenerate" });
  if (button && error.wait) countDown(button, error.wait);
  return h(
    "div",
    { class: "failure", role: "alert" },
    h("p", { class: "failure-told" }, say(`error.${kind}`)),
    error.detail && error.detail !== kind
      ? h("p", { class: "failure-detail" }, error.detail)
      : null,
    h(
      "div",
      { class: "failure-actions" },
      kind === "key"
        ? wordButton(say("key.give"), () => giveKey(retry), { class: "button main" })
        : null,
      button,
    ),
  );
}

async function giveKey(retry) {
  const given = await askLine({
    title: say("key.title"),
    closeLabel: say("close"),
    label: say("key.label"),
    okLabel: say("save"),
    kind: "password",
  });
  if (given === null) return;
  key.set(given.trim());
  if (retry) retry();
  else location.reload();
}

function countDown(button, seconds) {
  const words = button.lastChild;
  let left = Math.ceil(seconds);
  button.disabled = true;
  const tick = () => {
    words.data = left > 0 ? say("retry.in", { seconds: left }) : say("retry");
    button.disabled = left > 0;
    if (left > 0) setTimeout(tick, 1000);
    left -= 1;
  };
  tick();
}
