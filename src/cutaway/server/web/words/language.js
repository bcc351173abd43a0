// The words of the interface in the chosen language: browser's choice, or the reader's.

import { english } from "./english.js";
import { chinese } from "./chinese.js";
import { Format } from "../plain/format.js";

export const LANGUAGES = { en: "English", "zh-CN": "中文" };
const CATALOGS = { en: english, "zh-CN": chinese };

/** The language for what a browser prefers; English where it knows none of ours. */
export function chooseLanguage(preferred) {
  return preferred.toLowerCase().startsWith("zh") ? "zh-CN" : "en";
}

/** A function from keys to words; `{name}` stands for a value, `key.one` for a count of one. */
export function speaker(language) {
  const catalog = CATALOGS[language];
  const plural = new Intl.PluralRules(language);
  return (key, values = {}) => {
    const form = values.count === undefined ? undefined : `${key}.${plural.select(values.count)}`;
    const words = catalog[form] ?? catalog[key];
    if (words === undefined) throw new Error(`no words for ${key} in ${language}`);
    return words.replaceAll(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
  };
}

export const language = chooseLanguage(globalThis.document?.documentElement.lang ?? "en");
export const say = speaker(language);
export const format = new Format(language);
