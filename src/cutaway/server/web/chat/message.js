// One message of a conversation: its text or tokens, what is told below it, and what can be done.

import { iconButton, wordButton } from "../parts/buttons.js";
import { drawMarkdown } from "../parts/draw_markdown.js";
import { h } from "../parts/element.js";
import { drawFailure } from "../parts/failure.js";
import { drawTold } from "../parts/told.js";
import { TokenView } from "../parts/token_view.js";
import { say } from "../words/language.js";

/**
 * An article. `actions` is what the conversation does: edit, copy, regenerate, goOn, turn, remove,
 * branch, showTokens, retry. `tokens` are those of the answer where this page has seen it come.
 */
export function drawMessage({
  message,
  number,
  versions,
  tokens,
  isShownAsTokens,
  isColoured,
  failure,
  actions,
}) {
  const isAnswer = message.role === "assistant";
  const name = say(`role.${message.role}`);
  const body = h("div", { class: "message-body" });
  const article = h(
    "article",
    {
      class: `message ${isAnswer ? "answer" : "question"}`,
      id: `message-${message.id}`,
      tabindex: -1,
      "aria-label": say("message.label", { name, number }),
      data: { id: message.id },
      on: { keydown: (event) => turnByKey(event, message, actions) },
    },
    isAnswer ? h("div", { class: "message-name" }, message.details.model ?? name) : null,
    body,
  );
  let view = null;
  if (isAnswer && isShownAsTokens && tokens) {
    view = new TokenView({
      branch: (place, rival) => actions.branch(message, place, rival),
      isColoured,
    });
    if (tokens.begun) body.append(h("p", { class: "begun" }, tokens.begun));
    view.append(tokens.list);
    body.append(view.element);
  } else if (isAnswer) {
    body.append(...drawMarkdown(message.content, { copyLabel: say("copy") }));
  } else {
    // What a person typed is shown as it was typed.
    body.append(h("p", { class: "typed" }, message.content));
  }
  if (isAnswer && message.content === "" && !failure && message.details.reason) {
    body.append(h("p", { class: "empty-answer" }, say("answer.empty")));
  }
  if (failure) article.append(drawFailure(failure, () => actions.retry(message)));
  article.append(drawFoot({ message, versions, tokens, isShownAsTokens, actions }));
  return { article, body, view };
}

function drawFoot({ message, versions, tokens, isShownAsTokens, actions }) {
  const isAnswer = message.role === "assistant";
  const told = isAnswer ? drawTold(message.details) : null;
  const isCut =
    isAnswer && (message.details.reason === "length" || message.details.reason === "stopped");
  const buttons = h(
    "div",
    { class: "message-actions" },
    versions.ids.length > 1 ? drawVersions(message, versions, actions) : null,
    isCut
      ? wordButton(say("continue"), () => actions.goOn(message), {
          icon: "forward",
          class: "button small",
        })
      : null,
    isAnswer && tokens
      ? iconButton(
          "tokens",
          say(isShownAsTokens ? "tokens.hide" : "tokens.show"),
          () => actions.showTokens(message),
          {
            "aria-pressed": String(isShownAsTokens),
          },
        )
      : null,
    iconButton("copy", say("copy"), (event) => actions.copy(message, event.currentTarget)),
    isAnswer
      ? iconButton("regenerate", say("regenerate"), () => actions.regenerate(message))
      : null,
    isAnswer ? null : iconButton("edit", say("edit"), () => actions.edit(message)),
    iconButton("more", say("more"), (event) => actions.more(message, event.currentTarget), {
      "aria-haspopup": "menu",
    }),
  );
  return h("div", { class: "message-foot" }, told, buttons);
}

function drawVersions(message, { ids, place }, actions) {
  const turn = (by) => () => actions.turn(message, by);
  return h(
    "div",
    { class: "versions", role: "group", "aria-label": say("versions") },
    iconButton("left", say("versions.before"), turn(-1), { disabled: place === 0 }),
    h(
      "span",
      { class: "versions-place" },
      say("versions.place", { place: place + 1, all: ids.length }),
    ),
    iconButton("right", say("versions.after"), turn(1), { disabled: place === ids.length - 1 }),
  );
}

function turnByKey(event, message, actions) {
  if (event.target !== event.currentTarget || event.altKey || event.ctrlKey || event.metaKey)
    return;
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (by === undefined) return;
  event.preventDefault();
  actions.turn(message, by);
}
