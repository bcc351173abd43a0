// A question that is written anew in its place; what was asked before stays as another branch.

import { wordButton } from "../parts/buttons.js";
import { fill, h } from "../parts/element.js";
import { say } from "../words/language.js";

/** Turns an article into a field; `done(text)` or `left()` is called at the end. */
export function editInPlace(article, content, { done, left }) {
  const field = h("textarea", {
    class: "edit-field",
    "aria-label": say("edit.label"),
    maxlength: 200000,
    on: {
      input: () => grow(field),
      keydown: (event) => {
        if (event.isComposing) return;
        if (event.key === "Escape") left();
        else if (event.key === "Enter" && !event.shiftKey) finish();
        else return;
        event.preventDefault();
        event.stopPropagation();
      },
    },
  });
  const finish = () => {
    if (field.value.trim() !== "") done(field.value);
  };
  field.value = content;
  fill(
    article,
    h(
      "div",
      { class: "editing" },
      field,
      h("p", { class: "explained" }, say("edit.explained")),
      h(
        "div",
        { class: "edit-actions" },
        wordButton(say("cancel"), left, { class: "button quiet" }),
        wordButton(say("edit.send"), finish, { class: "button main" }),
      ),
    ),
  );
  article.classList.add("is-edited");
  grow(field);
  field.focus();
  field.setSelectionRange(field.value.length, field.value.length);
}

function grow(field) {
  field.style.height = "auto";
  field.style.height = `${Math.min(400, field.scrollHeight + 2)}px`;
}
