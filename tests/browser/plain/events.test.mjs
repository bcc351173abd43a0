// Laws of the reader of server-sent events.

import assert from "node:assert/strict";
import test from "node:test";

import { EventReader, readEvents } from "../../../src/cutaway/server/web/plain/events.js";
import { numbers } from "./numbers.mjs";

const LETTERS = ["a", "é", "水", "🦉", " ", '"', "\\", "data:", ":", "<"];
const ENDS = ["\n", "\r\n", "\r"];

function stream(draw) {
  let text = "";
  for (let event = 0; event < 3; event += 1) {
    const end = ENDS[draw(ENDS.length)];
    const words = Array.from({ length: 1 + draw(5) }, () => LETTERS[draw(LETTERS.length)]).join("");
    if (draw(4) === 0) text += `: a comment${end}`;
    if (draw(4) === 0) text += `event: named${end}`;
    text += `data: ${JSON.stringify({ event, words })}${end}`;
    if (draw(5) === 0) text += `data:more${end}`;
    text += end;
  }
  return text;
}

function read(pieces) {
  const reader = new EventReader();
  const decoder = new TextDecoder();
  const events = pieces.flatMap((piece) => reader.push(decoder.decode(piece, { stream: true })));
  return JSON.stringify([...events, ...reader.push(decoder.decode())]);
}

test("wherever two pieces of a stream are cut, the events are the same", () => {
  const draw = numbers(1);
  for (let round = 0; round < 1000; round += 1) {
    const bytes = new TextEncoder().encode(stream(draw));
    const whole = read([bytes]);
    assert.equal(JSON.parse(whole).length, 3);
    for (let at = 1; at < bytes.length; at += 1) {
      assert.equal(read([bytes.subarray(0, at), bytes.subarray(at)]), whole);
    }
  }
});

test("a stream that comes byte by byte gives the same events", () => {
  const draw = numbers(2);
  for (let round = 0; round < 100; round += 1) {
    const bytes = new TextEncoder().encode(stream(draw));
    assert.equal(read(Array.from(bytes, (byte) => Uint8Array.of(byte))), read([bytes]));
  }
});

test("an event that is not over is not given", () => {
  assert.deepEqual(new EventReader().push("data: half"), []);
  assert.deepEqual(new EventReader().push("data: half\n"), []);
});

test("several lines of data are one text, and a field without data is no event", () => {
  const events = new EventReader().push("data: one\ndata: two\n\nevent: empty\n\ndata\n\n");
  assert.deepEqual(events, [
    { name: "message", data: "one\ntwo" },
    { name: "message", data: "" },
  ]);
});

test("a body is read to its end", async () => {
  const body = new Blob(["data: 1\n\ndata: 2", "\n\n"]).stream();
  const events = [];
  for await (const { data } of readEvents(body)) events.push(data);
  assert.deepEqual(events, ["1", "2"]);
});
