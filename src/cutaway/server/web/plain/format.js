// Numbers, times and sizes as a reader of the chosen language expects them.

const UNITS = [
  ["year", 31536000],
  ["month", 2592000],
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
];

/** The formats of one language. */
export class Format {
  #language;

  constructor(language) {
    this.#language = language;
  }

  /** A number with at most so many digits that matter. */
  number(value, digits = 3) {
    if (!Number.isFinite(value)) return "–";
    const options = { maximumSignificantDigits: digits };
    if (Math.abs(value) >= 10 ** digits) options.maximumSignificantDigits = 21;
    const rounded = Math.abs(value) >= 10 ** digits ? Math.round(value) : value;
    return new Intl.NumberFormat(this.#language, options).format(rounded);
  }

  /** A large number in short: 12.4K, 1.2 万. */
  short(value) {
    if (!Number.isFinite(value)) return "–";
    const options = { notation: "compact", maximumSignificantDigits: 3 };
    return new Intl.NumberFormat(this.#language, options).format(value);
  }

  /** A probability as a percentage; what is too small to be told is said to be small. */
  percent(share) {
    if (!Number.isFinite(share)) return "–";
    if (share > 0 && share < 0.0005) return "<0.1%";
    const digits = share >= 0.0995 && share < 1 ? 0 : 1;
    const options = {
      style: "percent",
      minimumFractionDigits: share === 1 ? 0 : digits,
      maximumFractionDigits: digits,
    };
    const text = new Intl.NumberFormat(this.#language, options).format(share);
    return share < 1 && text === "100%" ? ">99%" : text;
  }

  /** Seconds in the unit that suits them. */
  seconds(value) {
    if (!Number.isFinite(value)) return "–";
    if (value < 1) return `${Math.round(value * 1000)} ms`;
    if (value < 60) return `${this.number(value)} s`;
    const minutes = Math.floor(value / 60);
    if (minutes < 60) return `${minutes} min ${Math.round(value - minutes * 60)} s`;
    return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  }

  /** How long ago a moment was, in words. */
  ago(moment, now = Date.now()) {
    const passed = (now - new Date(moment).getTime()) / 1000;
    if (!Number.isFinite(passed)) return "";
    const words = new Intl.RelativeTimeFormat(this.#language, { numeric: "auto" });
    for (const [unit, size] of UNITS) {
      if (passed >= size) return words.format(-Math.floor(passed / size), unit);
    }
    return words.format(0, "minute");
  }
}
