// Server-sent events from text that arrives in pieces cut anywhere (WHATWG HTML, section 9.2.6).

/** Takes pieces of a stream and gives back each event as soon as it is whole. */
export class EventReader {
  #rest = "";
  #name = "";
  #data = [];
  #afterReturn = false;

  /** The events that this piece completes: `{name, data}`. */
  push(piece) {
    const events = [];
    let text = piece;
    // A line may end in CR, LF or both, and the two may come in different pieces.
    if (this.#afterReturn && text !== "") {
      if (text[0] === "\n") text = text.slice(1);
      this.#afterReturn = false;
    }
    text = this.#rest + text;
    let begin = 0;
    for (let place = this.#rest.length; place < text.length; place += 1) {
      const letter = text[place];
      if (letter !== "\n" && letter !== "\r") continue;
      this.#line(text.slice(begin, place), events);
      if (letter === "\r") {
        if (place + 1 === text.length) this.#afterReturn = true;
        else if (text[place + 1] === "\n") place += 1;
      }
      begin = place + 1;
    }
    this.#rest = text.slice(begin);
    return events;
  }

  #line(line, events) {
    if (line === "") {
      if (this.#data.length > 0) {
        events.push({ name: this.#name || "message", data: this.#data.join("\n") });
      }
      this.#name = "";
      this.#data = [];
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#name = value;
  }
}

/** The events of a response's body; one decoder for all of it, so that no character is cut. */
export async function* readEvents(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const events = new EventReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      yield* events.push(done ? decoder.decode() : decoder.decode(value, { stream: true }));
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
