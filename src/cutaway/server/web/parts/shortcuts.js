// Keys for everything: a list of shortcuts that listens, and that the help shows.

const IS_APPLE = /Mac|iPhone|iPad/.test(navigator.platform);

/** The shortcuts of a page, each `{keys, words, run}`; keys as `Control+Shift+O` or `?`. */
export class Shortcuts {
  #shortcuts = [];

  constructor() {
    document.addEventListener("keydown", (event) => this.#press(event));
  }

  /** Every shortcut, in the order in which they were added. */
  get all() {
    return this.#shortcuts;
  }

  /** Adds one; one without Control or Alt is for when nobody writes. `run` may return false. */
  add(keys, words, run) {
    this.#shortcuts.push({ keys, words, run });
  }

  #press(event) {
    if (event.defaultPrevented || event.isComposing) return;
    const pressed = namesOf(event);
    const isModified = event.ctrlKey || event.metaKey || event.altKey;
    const isFree = isModified || event.key === "Escape" || !isWriting(event.target);
    if (!isFree || (document.querySelector("dialog[open]") && event.key !== "Escape")) return;
    for (const shortcut of this.#shortcuts) {
      if (!pressed.includes(shortcut.keys)) continue;
      if (shortcut.run?.(event) !== false && shortcut.run) {
        event.preventDefault();
        return;
      }
    }
  }
}

/** The keys of a shortcut as they stand on this machine's keyboard. */
export function keyNames(keys) {
  const names = {
    Control: IS_APPLE ? "⌘" : "Ctrl",
    Alt: IS_APPLE ? "⌥" : "Alt",
    Shift: IS_APPLE ? "⇧" : "Shift",
    Escape: "Esc",
    ArrowUp: "↑",
    ArrowDown: "↓",
    ArrowLeft: "←",
    ArrowRight: "→",
    Enter: "Enter",
  };
  return keys.split(/\+(?=.)/).map((key) => names[key] ?? key);
}

function namesOf(event) {
  const parts = [];
  if (event.ctrlKey || event.metaKey) parts.push("Control");
  if (event.altKey) parts.push("Alt");
  // With Alt some keyboards write another sign; the key itself is meant.
  const letter =
    event.altKey && /^(Key|Digit)./.test(event.code) ? event.code.slice(-1) : event.key;
  const key = letter.length === 1 && parts.length > 0 ? letter.toUpperCase() : letter;
  // A sign such as ? is made with Shift on one keyboard and without on another.
  return [
    [...parts, ...(event.shiftKey ? ["Shift"] : []), key].join("+"),
    [...parts, key].join("+"),
  ].slice(0, event.key.length === 1 && !/[a-z0-9]/i.test(event.key) ? 2 : 1);
}

function isWriting(target) {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}
