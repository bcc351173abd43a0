// The metrics of a run, read piece by piece: only what is new is asked for.

import { fetchJson } from "../parts/service.js";

export const METRICS = ["loss", "bits_per_byte", "validation_loss", "gradient_norm", "learning_rate", "tokens_per_second"];

/** What is known of one run's metrics. */
export class Following {
  rows = [];
  #id;
  #next = 0;

  constructor(id) {
    this.#id = id;
  }

  /** Reads what was written since; whether there was anything. */
  async read(signal) {
    let hasMore = true;
    let isNew = false;
    while (hasMore) {
      const piece = await fetchJson(`/api/runs/${encodeURIComponent(this.#id)}/metrics?after=${this.#next}`, { signal });
      if (piece.is_anew) this.rows = [];
      for (const row of piece.rows) this.rows.push(row);
      isNew ||= piece.rows.length > 0 || piece.is_anew;
      this.#next = piece.next;
      hasMore = !piece.is_whole;
    }
    return isNew;
  }

  /** The points of a metric along `step`, `tokens` or `minutes`. */
  points(metric, along) {
    const found = [];
    for (const row of this.rows) {
      const x = along === "minutes" ? row.seconds / 60 : row[along];
      if (Number.isFinite(row[metric]) && Number.isFinite(x)) found.push([x, row[metric]]);
    }
    return found;
  }
}
