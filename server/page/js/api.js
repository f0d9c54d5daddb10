// Requests to the server. An API key, if one is needed, lasts as long as the browser's tab.

import { store } from "./store.js";

const KEY = "polydelta.key";

// Why a key is asked for, or null while none is.
export const asked = store(null);

export class ApiError extends Error {
  constructor(message, status, code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export const headers = () => {
  const key = sessionStorage.getItem(KEY);
  return key ? { authorization: `Bearer ${key}` } : {};
};

export const keepKey = (key) => sessionStorage.setItem(KEY, key);

// An answer whose status is good; raises ApiError for others, and where there is no server.
export async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, {
      ...options,
      headers: { ...headers(), ...options.headers },
      cache: "no-store",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server does not answer. Is it still running?", 0, "unreachable");
  }
  if (!response.ok) throw refusal(response.status, await response.text());
  return response;
}

// What a problem's body says; a proxy's may be none of ours.
export function refusal(status, text) {
  let message = `The server answered with status ${status}.`;
  let code = "";
  try {
    const { error } = JSON.parse(text);
    message = String(error.message);
    code = String(error.code);
  } catch {
    // The status has to do.
  }
  if (status === 401 || code === "too_many_attempts") asked.set(message);
  return new ApiError(message, status, code);
}

export const getJson = async (path) => (await request(path)).json();

const json = (method, body) => ({
  method,
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

export const send = (method, path, body, signal) =>
  request(path, { ...(body === undefined ? { method } : json(method, body)), signal });

export const taskPath = (name) => `v1/tasks/${encodeURIComponent(name)}`;
