// What a model thought of the tokens it might have written: surprise, and shares before and after.

export const RIVALS = 10; // how many the server is asked for
export const LEVELS = 6;

/** How surprising a token was, in bits: 0 for a certain one, 1 for one of two equal ones. */
export function surprise(logprob) {
  return Math.max(0, -logprob / Math.LN2);
}

/** One of six levels of surprise, 0 for expected; a level is worth a factor of four. */
export function surpriseLevel(logprob) {
  const bits = surprise(logprob);
  if (!Number.isFinite(bits)) return LEVELS - 1;
  return Math.min(LEVELS - 1, bits < 0.15 ? 0 : 1 + Math.floor(bits / 2));
}

/**
 * A token's rivals, the most probable first: `{text, isChosen, before, after}`.
 *
 * `before` is the model's own probability, `after` the one that the token was drawn by, and null
 * where it cannot be known. The chosen token is always among them.
 */
export function rivals(token) {
  const listed = token.top_logprobs ?? [];
  const isThere = listed.some((rival) => isSame(rival, token));
  const all = isThere ? listed : [...listed, token];
  return all
    .map((rival) => ({
      token: rival.token,
      text: textOf(rival),
      isChosen: isSame(rival, token),
      before: Math.exp(rival.logprob),
      after: rival.sampled_logprob === undefined ? null : chance(rival.sampled_logprob),
    }))
    .sort((one, other) => other.before - one.before);
}

/** The probability that none of the listed rivals has. */
export function rest(shares) {
  return Math.max(0, 1 - shares.reduce((sum, share) => sum + share, 0));
}

/** The perplexity of an answer: the exponential of its mean surprise. */
export function perplexity(logprobs) {
  if (logprobs.length === 0) return null;
  return Math.exp(-logprobs.reduce((sum, each) => sum + each, 0) / logprobs.length);
}

/** A token's letters with those made visible that leave no mark. */
export function visible(text) {
  if (text === "") return "∅";
  return text.replaceAll("\n", "↵").replaceAll("\t", "⇥").replaceAll(/^ | $/g, "␣");
}

function chance(logprob) {
  return logprob === null ? 0 : Math.exp(logprob);
}

function textOf(token) {
  return token.text ?? token.token;
}

function isSame(one, other) {
  return one.id !== undefined && other.id !== undefined
    ? one.id === other.id
    : one.token === other.token && String(one.bytes) === String(other.bytes);
}
