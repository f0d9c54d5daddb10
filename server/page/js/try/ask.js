// Asks the server and tells what came, column by column, until all is answered or given up.

import { ApiError, send } from "../api.js";
import { events } from "../events.js";
import { joined } from "../outputs/calls.js";
import { plan } from "./requests.js";

const URL = "v1/infer";

// `tell(name, change)` is told what changes about a task's answer.
export async function ask(tasks, text, parameters, tell, signal) {
  const begun = performance.now();
  const since = () => performance.now() - begun;
  await Promise.all(
    plan(tasks, text, parameters).map(async ({ names, body }) => {
      try {
        const response = await send("POST", URL, body, signal);
        if (body.stream) await stream(response, names[0], tell, since);
        else await whole(response, names, tell, since);
      } catch (error) {
        const change = signal.aborted ? { state: "stopped" } : { state: "failed", error };
        for (const name of names) tell(name, change);
      }
    }),
  );
}

async function stream(response, name, tell, since) {
  let text = "";
  let reasoning = "";
  let calls = [];
  let first = null;
  for await (const event of events(response)) {
    if (event.error) throw new ApiError(event.error.message, 0, event.error.code);
    first ??= since();
    text += event.text ?? "";
    reasoning += event.reasoning ?? "";
    calls = joined(calls, event.tool_calls ?? []);
    const { version, usage, finish_reason: finish } = event;
    const known = { ...(usage && { usage }), ...(finish && { finish }) };
    tell(name, { state: "writing", version, first, total: since(), output: { text, reasoning, calls }, ...known });
  }
  tell(name, { state: "done", total: since() });
}

async function whole(response, names, tell, since) {
  const { results } = await response.json();
  for (const [at, result] of results.entries()) {
    if (result.error) {
      const error = new ApiError(result.error.message, result.status, result.error.code);
      tell(names[at], { state: "failed", error });
      continue;
    }
    const { version, usage, outputs } = result;
    tell(names[at], { state: "done", version, usage, outputs, total: since() });
  }
}
