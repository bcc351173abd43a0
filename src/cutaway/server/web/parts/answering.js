// One answer from the request to its end: text, tokens, times, and why it ended.

import { RIVALS } from "../plain/probability.js";
import { isSeed, LARGEST_SEED, requestFields } from "../plain/settings.js";
import { streamChat } from "./service.js";

/** A seed for whoever has set none; it is shown, so that the answer can be had again. */
export function drawSeed(settings) {
  if (isSeed(settings.seed)) return settings.seed;
  return crypto.getRandomValues(new Uint32Array(1))[0] % LARGEST_SEED;
}

/**
 * Asks for an answer; `grow({text, tokens})` is called with what has come since.
 *
 * `begun` is the text that the answer goes on from. Gives back what is told below an answer.
 * A stop is an end like another: the reason is "stopped", and what has come stays.
 */
export async function answer({ model, messages, begun = "", settings, seed, signal, grow }) {
  const asked = performance.now();
  const told = {
    seed,
    reason: "stop",
    tokens: 0,
    first: null,
    seconds: 0,
    prompt: null,
    dropped: 0,
  };
  const body = {
    model,
    messages: begun === "" ? messages : [...messages, { role: "assistant", content: begun }],
    stream: true,
    stream_options: { include_usage: true },
    logprobs: true,
    top_logprobs: RIVALS,
    ...requestFields(settings, seed),
  };
  try {
    for await (const chunk of streamChat(body, signal)) {
      const [choice] = chunk.choices ?? [];
      const tokens = choice?.logprobs?.content ?? [];
      const text = choice?.delta?.content ?? "";
      if ((text !== "" || tokens.length > 0) && told.first === null) {
        told.first = (performance.now() - asked) / 1000;
      }
      told.tokens += tokens.length;
      if (choice?.finish_reason) told.reason = choice.finish_reason;
      if (chunk.usage) {
        told.prompt = chunk.usage.prompt_tokens;
        told.tokens = chunk.usage.completion_tokens;
      }
      if (chunk.cutaway) told.dropped = chunk.cutaway.dropped_messages ?? 0;
      if (text !== "" || tokens.length > 0) grow({ text, tokens });
    }
  } catch (error) {
    if (error.kind !== "stopped") throw error;
    told.reason = "stopped";
  } finally {
    told.seconds = (performance.now() - asked) / 1000;
  }
  return told;
}

/** Tokens per second after the first one; null where there were too few to tell. */
export function pace({ tokens, first, seconds }) {
  return tokens > 1 && first !== null && seconds > first ? (tokens - 1) / (seconds - first) : null;
}
