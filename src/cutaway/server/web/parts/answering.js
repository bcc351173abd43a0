// One answer from the request to its end: text, tokens, times, and why it ended.

import { RIVALS } from "../plain/probability.js";
import { isSeed, LARGEST_SEED, requestFields } from "../plain/settings.js";
import { canChat, streamAnswer } from "./service.js";

const SHORTEST = 0.005; // seconds, below which a speed is chance
const OLD_RIVALS = 5; // the most that the older form gives

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
  const { path, body } = ask({ model, messages, begun });
  Object.assign(body, { model, stream: true, stream_options: { include_usage: true } });
  Object.assign(body, requestFields(settings, seed));
  try {
    for await (const chunk of streamAnswer(path, body, signal)) {
      const [choice] = chunk.choices ?? [];
      const tokens = choice?.logprobs?.content ?? oldTokens(choice?.logprobs);
      const text = choice?.delta?.content ?? choice?.text ?? "";
      if ((text !== "" || tokens.length > 0) && told.first === null) {
        told.first = (performance.now() - asked) / 1000;
      }
      told.tokens += tokens.length;
      if (choice?.finish_reason) told.reason = choice.finish_reason;
      if (chunk.usage) {
        told.prompt = chunk.usage.prompt_tokens;
        told.tokens = chunk.usage.completion_tokens;
      }
      if (chunk.cutaway) {
        const { dropped_messages: dropped, seconds, first_token_seconds: first } = chunk.cutaway;
        told.dropped = dropped ?? 0;
        // The server's own times: what a network brings at once was not written at once.
        if (Number.isFinite(seconds - first)) told.writing = seconds - first;
      }
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

/** Tokens per second after the first one; null where there were too few, or too little time. */
export function pace({ tokens, first, seconds, writing }) {
  const spent = writing ?? (first === null ? 0 : seconds - first);
  return tokens > 1 && spent > SHORTEST ? (tokens - 1) / spent : null;
}

/** A chat model is given messages; one that only goes on with a text is given theirs as one. */
function ask({ model, messages, begun }) {
  if (canChat(model)) {
    const all = begun === "" ? messages : [...messages, { role: "assistant", content: begun }];
    return {
      path: "/v1/chat/completions",
      body: { messages: all, logprobs: true, top_logprobs: RIVALS },
    };
  }
  const prompt = messages.map(({ content }) => content).join("\n") + begun;
  return { path: "/v1/completions", body: { prompt, logprobs: OLD_RIVALS } };
}

/** The older form of probabilities, which tells nothing of temperature and cuts. */
function oldTokens(logprobs) {
  return (logprobs?.tokens ?? []).map((token, place) => ({
    token,
    logprob: logprobs.token_logprobs[place],
    top_logprobs: Object.entries(logprobs.top_logprobs?.[place] ?? {}).map(([rival, logprob]) => ({
      token: rival,
      logprob,
    })),
  }));
}
