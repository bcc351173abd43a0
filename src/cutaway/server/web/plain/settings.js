// The settings of an answer: their ranges, and the request that they make.

/** Each number that can be set; `words` for it stand in the catalogues under `setting.NAME`. */
export const NUMBERS = {
  temperature: { low: 0, high: 2, step: 0.05, standard: 0.7 },
  top_p: { low: 0.05, high: 1, step: 0.01, standard: 0.95 },
  top_k: { low: 1, high: 200, step: 1, standard: 40 },
  min_p: { low: 0, high: 0.5, step: 0.01, standard: 0.05 },
  repetition_penalty: { low: 1, high: 2, step: 0.05, standard: 1 },
  frequency_penalty: { low: -2, high: 2, step: 0.1, standard: 0 },
  presence_penalty: { low: -2, high: 2, step: 0.1, standard: 0 },
  max_tokens: { low: 1, high: 4096, step: 1, standard: 512 },
};

export const CUTS = ["none", "top_p", "top_k", "min_p"];

export const LARGEST_SEED = 2 ** 31 - 1;

/** The settings with which everybody begins. */
export function standardSettings() {
  const numbers = Object.entries(NUMBERS).map(([name, { standard }]) => [name, standard]);
  return {
    ...Object.fromEntries(numbers),
    cut: "top_p",
    seed: null,
    stop: "",
    isStreamed: true,
    areTokensShown: false,
    isSurpriseColoured: true,
    isReadBySentence: false,
  };
}

/** Settings from what was kept: what is missing or out of range is as everybody begins. */
export function checkedSettings(kept) {
  const settings = standardSettings();
  if (typeof kept !== "object" || kept === null) return settings;
  for (const [name, standard] of Object.entries(settings)) {
    const value = kept[name];
    const range = NUMBERS[name];
    if (range) {
      if (Number.isFinite(value) && value >= range.low && value <= range.high)
        settings[name] = value;
    } else if (name === "cut") {
      if (CUTS.includes(value)) settings.cut = value;
    } else if (name === "seed") {
      settings.seed = isSeed(value) ? value : null;
    } else if (typeof value === typeof standard) {
      settings[name] = value;
    }
  }
  return settings;
}

/** Whether a value is a seed. */
export function isSeed(value) {
  return Number.isInteger(value) && value >= 0 && value <= LARGEST_SEED;
}

/** The fields of a request that these settings make; what changes nothing is left out. */
export function requestFields(settings, seed) {
  const fields = { temperature: settings.temperature, max_tokens: settings.max_tokens, seed };
  if (settings.cut !== "none" && settings.temperature > 0)
    fields[settings.cut] = settings[settings.cut];
  for (const name of ["repetition_penalty", "frequency_penalty", "presence_penalty"]) {
    if (settings[name] !== NUMBERS[name].standard) fields[name] = settings[name];
  }
  const stop = settings.stop
    .split("\n")
    .filter((line) => line !== "")
    .slice(0, 4);
  if (stop.length > 0) fields.stop = stop;
  return fields;
}

/** The same request as a command line and as Python, for somebody who goes on from here. */
export function asCode({ origin, model, messages, fields }) {
  const body = JSON.stringify({ model, messages, ...fields }, null, 2);
  const quoted = body.replaceAll("'", "'\\''");
  const curl = `curl ${origin}/v1/chat/completions -H 'Content-Type: application/json' -d '${quoted}'`;
  const {
    temperature,
    max_tokens,
    seed,
    top_p,
    stop,
    frequency_penalty,
    presence_penalty,
    ...extra
  } = fields;
  const known = { temperature, max_tokens, seed, top_p, stop, frequency_penalty, presence_penalty };
  const lines = Object.entries({ model, messages, ...known })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `    ${name}=${JSON.stringify(value)},`);
  if (Object.keys(extra).length > 0) lines.push(`    extra_body=${JSON.stringify(extra)},`);
  const python = [
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url=${JSON.stringify(`${origin}/v1`)}, api_key="none")`,
    "answer = client.chat.completions.create(",
    ...lines,
    ")",
    "print(answer.choices[0].message.content)",
  ].join("\n");
  return { curl, python };
}
