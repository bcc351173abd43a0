// What this browser keeps: choices and drafts; where it keeps nothing, the page works all the same.

const PREFIX = "cutaway.";

/** The kept value of a name, or `otherwise`. */
export function recall(name, otherwise = null) {
  try {
    const text = localStorage.getItem(PREFIX + name);
    return text === null ? otherwise : JSON.parse(text);
  } catch {
    return otherwise;
  }
}

/** Keeps a value under a name; null forgets it. A full store is no error. */
export function keep(name, value) {
  try {
    if (value === null) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // The store is full or switched off.
  }
}

/** Keeps plain text, for theme.js, which reads it before anything else is loaded. */
export function keepText(name, text) {
  try {
    if (text === null) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, text);
  } catch {
    // The store is full or switched off.
  }
}
