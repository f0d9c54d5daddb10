// The server's snapshots, one a second, for as long as somebody looks. It tries again by itself, but
// for a key that is refused: another one has all views drawn anew.

import { request } from "../api.js";
import { events } from "../events.js";

const AGAIN = 2000;

export function watch(onSnapshot, onError) {
  const left = new AbortController();
  const pause = () => new Promise((resolve) => setTimeout(resolve, AGAIN));
  async function follow() {
    while (!left.signal.aborted) {
      try {
        const response = await request("v1/events", { signal: left.signal });
        for await (const snapshot of events(response)) onSnapshot(snapshot);
      } catch (error) {
        if (left.signal.aborted) return;
        onError(error);
        if (error.status === 401 || error.status === 403) return;
      }
      await pause();
    }
  }
  follow();
  return () => left.abort();
}
