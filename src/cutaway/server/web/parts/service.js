// Talks to the server: every request of the pages is made here, and every error gets one form.

import { readEvents } from "../plain/events.js";
import { recall, keep } from "./kept.js";

/** What went wrong: `kind` names the words for it, `detail` is what the server said. */
export class ServiceError extends Error {
  constructor({ kind, detail = "", status = 0, wait = null }) {
    super(detail || kind);
    this.kind = kind;
    this.detail = detail;
    this.status = status;
    this.wait = wait; // seconds after which it may be tried again
  }
}

const KINDS = {
  401: "key",
  403: "refused",
  404: "missing",
  408: "busy",
  413: "long",
  422: "request",
  429: "busy",
  503: "loading",
};

/** The key that the server asks for where it listens to a network; empty where none is needed. */
export const key = {
  get: () => recall("key", ""),
  set: (value) => keep("key", value === "" ? null : value),
};

/** What a path answers, as JSON. */
export async function fetchJson(path, { method = "GET", body, signal } = {}) {
  const response = await request(path, { method, body, signal });
  if (response.status === 204) return null;
  try {
    return await response.json();
  } catch {
    throw new ServiceError({ kind: "broken" });
  }
}

/** What a path answers, as text; for exports. */
export async function fetchText(path) {
  return (await request(path, {})).text();
}

const known = new Map();

/** The models of the server that write: `{id, is_chat, ...}`; others make vectors. */
export async function listModels() {
  const models = (await fetchJson("/v1/models")).data.filter(({ makes }) => makes !== "vectors");
  for (const model of models) known.set(model.id, model);
  return models;
}

/** Whether a model answers; one that does not only goes on with a text. */
export function canChat(id) {
  return known.get(id)?.is_chat !== false;
}

/** The chunks of an answer as they come, each the parsed data of one event. */
export async function* streamAnswer(path, body, signal) {
  const response = await request(path, { method: "POST", body, signal });
  try {
    for await (const { data } of readEvents(response.body)) {
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw errorOf(chunk.error.status ?? 500, chunk.error, null);
      yield chunk;
    }
  } catch (error) {
    throw asServiceError(error, signal);
  }
  throw new ServiceError({ kind: "cut" });
}

async function request(path, { method = "GET", body, signal }) {
  const headers = {};
  if (method !== "GET") headers["Content-Type"] = "application/json";
  if (key.get() !== "") headers.Authorization = `Bearer ${key.get()}`;
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      signal,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    throw asServiceError(error, signal);
  }
  if (response.ok) return response;
  const told = await response.json().catch(() => ({}));
  throw errorOf(response.status, told.error ?? {}, response.headers.get("Retry-After"));
}

function errorOf(status, { message, code }, retryAfter) {
  const isLong = code === "context_length_exceeded" || code === "too_long";
  const kind = isLong ? "long" : (KINDS[status] ?? (status >= 500 ? "failed" : "request"));
  const wait = Number(retryAfter);
  return new ServiceError({
    kind,
    detail: typeof message === "string" ? message.slice(0, 600) : "",
    status,
    wait: retryAfter !== null && Number.isFinite(wait) ? Math.min(600, wait) : null,
  });
}

function asServiceError(error, signal) {
  if (error instanceof ServiceError) return error;
  if (signal?.aborted) return new ServiceError({ kind: "stopped" });
  if (error instanceof SyntaxError) return new ServiceError({ kind: "broken" });
  return new ServiceError({ kind: "network" });
}
