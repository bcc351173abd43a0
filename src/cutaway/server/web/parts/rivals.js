// The rivals of one token, before and after temperature and cuts, beside the token pointed at.

import { rest, rivals, surprise, visible } from "../plain/probability.js";
import { format, say } from "../words/language.js";
import { h } from "./element.js";

const GRACE = 180; // milliseconds in which the mouse may travel from the token to its rivals

/** Shows the rivals beside `anchor`; gives back how they are entered, left and closed. */
export function showRivals({ anchor, token, choose, closed }) {
  const listed = rivals(token);
  let timer = null;
  let isGone = false;
  const close = () => {
    if (isGone) return;
    isGone = true;
    clearTimeout(timer);
    panel.remove();
    anchor.classList.remove("is-shown");
    window.removeEventListener("scroll", follow, true);
    closed();
  };
  // A token that is scrolled takes its rivals along, until it is out of sight.
  const follow = () => {
    const { top, bottom } = anchor.getBoundingClientRect();
    if (bottom < 0 || top > window.innerHeight) close();
    else place(panel, anchor);
  };
  const leave = (event) => {
    const to = event.relatedTarget;
    if (to instanceof Node && (panel.contains(to) || to === anchor)) return;
    if (panel.contains(document.activeElement)) return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (
        !panel.matches(":hover") &&
        document.activeElement !== anchor &&
        !panel.contains(document.activeElement)
      )
        close();
    }, GRACE);
  };
  const pick = (rival) => {
    close();
    choose(rival);
  };
  const panel = h(
    "div",
    {
      class: "rivals",
      role: "dialog",
      "aria-label": say("rivals.label", { token: visible(token.token) }),
      on: {
        mouseleave: leave,
        focusout: leave,
        keydown: (event) =>
          press(event, panel, () => {
            // The focus first: a token that gets it shows its rivals, unless they are shown.
            anchor.focus();
            close();
          }),
      },
    },
    heading(token, listed),
    h(
      "div",
      { class: "rivals-head", "aria-hidden": "true" },
      h("span", {}, say("rivals.token")),
      h("span", {}, say("rivals.before")),
      h("span", {}, say("rivals.after")),
    ),
    h(
      "ul",
      {},
      listed.map((rival) => row(rival, pick)),
    ),
    others(listed),
  );
  anchor.classList.add("is-shown");
  document.body.append(panel);
  place(panel, anchor);
  window.addEventListener("scroll", follow, true);
  return { anchor, close, leave, enter: () => panel.querySelector("button")?.focus() };
}

function heading(token, listed) {
  const rank = listed.findIndex((rival) => rival.isChosen) + 1;
  const told = say("rivals.summary", {
    bits: format.number(surprise(token.logprob), 2),
    share: format.percent(Math.exp(token.logprob)),
  });
  const isBeyond = rank === listed.length && listed.length > 10;
  return h(
    "p",
    { class: "rivals-told" },
    h("code", { class: "rival-token" }, visible(token.token)),
    h("span", {}, `${isBeyond ? say("rivals.beyond") : say("rivals.rank", { rank })} · ${told}`),
  );
}

function row(rival, pick) {
  const isCut = rival.after === 0;
  const label = say(isCut ? "rivals.cut" : "rivals.row", {
    token: visible(rival.text),
    before: format.percent(rival.before),
    after: rival.after === null ? "–" : format.percent(rival.after),
  });
  const classes = `rival${rival.isChosen ? " is-chosen" : ""}${isCut ? " is-cut" : ""}`;
  return h(
    "li",
    {},
    h(
      "button",
      {
        type: "button",
        class: classes,
        "aria-label": label,
        "aria-current": rival.isChosen ? "true" : null,
        on: { click: () => pick(rival) },
      },
      h("code", { class: "rival-token" }, visible(rival.text)),
      bar("before", rival.before),
      bar("after", rival.after),
    ),
  );
}

function bar(kind, share) {
  const words = share === null ? "–" : format.percent(share);
  return h(
    "span",
    { class: `bar ${kind}`, style: { "--share": share ?? 0 } },
    h("span", { class: "bar-track" }, h("span", { class: "bar-full" })),
    h("span", { class: "bar-number" }, words),
  );
}

function others(listed) {
  const before = rest(listed.map((rival) => rival.before));
  const known = listed.every((rival) => rival.after !== null);
  const after = known ? rest(listed.map((rival) => rival.after)) : null;
  const shares = {
    before: format.percent(before),
    after: after === null ? "–" : format.percent(after),
  };
  return h("p", { class: "rivals-rest" }, say("rivals.rest", shares));
}

function press(event, panel, leave) {
  if (event.key === "Escape") leave();
  else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    const buttons = [...panel.querySelectorAll("button")];
    const at = buttons.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
    buttons[(at + buttons.length) % buttons.length].focus();
  } else return;
  event.preventDefault();
  event.stopPropagation();
}

/** Below the token, or above it where there is no room below; never out of the window. */
function place(panel, anchor) {
  const token = anchor.getClientRects()[0];
  const { width, height } = panel.getBoundingClientRect();
  const edge = 8;
  const left = Math.max(edge, Math.min(token.left, window.innerWidth - width - edge));
  const isBelow = token.bottom + height + edge <= window.innerHeight || token.top < height + edge;
  const top = isBelow ? token.bottom + 4 : token.top - height - 4;
  panel.style.left = `${left}px`;
  panel.style.top = `${Math.max(edge, Math.min(top, window.innerHeight - height - edge))}px`;
}
