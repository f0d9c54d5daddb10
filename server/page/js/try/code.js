// A request as code: for a shell, for Polydelta's Python client, for OpenAI's.

// Where a key is needed, code takes it from the environment, as Polydelta's client does by itself.
const KEY = "POLYDELTA_API_KEY";

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export function curl(origin, { body, keyed }) {
  const flags = body.stream ? "-sN" : "-s";
  const key = keyed ? `-H "authorization: Bearer $${KEY}" ` : "";
  return `curl ${flags} ${origin}/v1/infer ${key}-H 'content-type: application/json' \\\n    -d ${quoted(JSON.stringify(body))}`;
}

// JSON's texts and numbers are Python's, too.
function py(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(py).join(", ")}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  return `{${Object.entries(value).map(([key, each]) => `${py(key)}: ${py(each)}`).join(", ")}}`;
}

const named = (values) => Object.entries(values).map(([name, value]) => `, ${name}=${py(value)}`).join("");

const ANSWERS = { classify: "scores", tag: "entities", embed: "embedding" };

function printed(task, body, call) {
  if (task.type === "generate") return `answer = client.infer(${call})\nprint(answer.text, answer.tool_calls)`;
  if (Array.isArray(body.input)) return `print([each.embedding for each in client.infer(${call}).outputs])`;
  return `print(client.infer(${call}).${ANSWERS[task.type]})`;
}

export function python(origin, { task, body }) {
  const call = `${py(body.task)}, ${py(body.input)}${named(body.parameters ?? {})}`;
  const made = `from polydelta_client import Polydelta\n\nclient = Polydelta(${py(origin)})\n`;
  // Calls are read best once they are whole.
  if (!body.stream || body.parameters?.tools) return made + printed(task, body, call);
  return `${made}for piece in client.stream(${call}):\n    print(piece.text, end="", flush=True)`;
}

// What OpenAI's client does not know by name.
const EXTRA = ["top_k", "min_p", "repetition_penalty"];

const messagesOf = ({ input }) => (Array.isArray(input) ? input : [{ role: "user", content: input }]);

function chat(body) {
  const { schema, temperature = 0, ...given } = body.parameters ?? {};
  const own = Object.entries({ max_tokens: 128, temperature, ...given }).filter(([name]) => !EXTRA.includes(name));
  const extra = Object.entries(given).filter(([name]) => EXTRA.includes(name));
  const parts = [
    `model=${py(body.task)}`,
    `messages=${py(messagesOf(body))}`,
    ...own.map(([name, value]) => `${name}=${py(value)}`),
  ];
  if (schema) parts.push(`response_format=${py({ type: "json_schema", json_schema: { name: "answer", schema } })}`);
  if (extra.length) parts.push(`extra_body=${py(Object.fromEntries(extra))}`);
  if (given.tools) {
    return (
      `answer = client.chat.completions.create(\n    ${parts.join(",\n    ")},\n)\n` +
      "print(answer.choices[0].message.content, answer.choices[0].message.tool_calls)"
    );
  }
  return (
    `stream = client.chat.completions.create(\n    ${[...parts, "stream=True"].join(",\n    ")},\n)\n` +
    'for chunk in stream:\n    if chunk.choices:\n        print(chunk.choices[0].delta.content or "", end="", flush=True)'
  );
}

export function openai(origin, { task, body, keyed }) {
  const [imported, key] = keyed ? ["import os\n\n", `os.environ["${KEY}"]`] : ["", '"unused"'];
  const made = `${imported}from openai import OpenAI\n\nclient = OpenAI(base_url=${py(`${origin}/v1`)}, api_key=${key})\n`;
  if (task.type === "generate") return made + chat(body);
  if (task.type === "embed") {
    return `${made}found = client.embeddings.create(model=${py(body.task)}, input=${py(body.input)})\nprint([each.embedding for each in found.data])`;
  }
  return "# OpenAI's protocol has no labels for texts: use curl or Python.";
}
