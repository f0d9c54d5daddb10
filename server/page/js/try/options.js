// Options of generation: what is left empty is left to the server.

import { html } from "../html.js";

export const NO_OPTIONS = {
  max_tokens: "",
  temperature: "",
  top_p: "",
  top_k: "",
  repetition_penalty: "",
  seed: "",
  schema: "",
};

const NUMBERS = [
  { name: "max_tokens", label: "Longest answer, tokens", unset: "128", min: 1, step: 1 },
  { name: "temperature", label: "Temperature", unset: "0", min: 0, max: 10, step: 0.1 },
  { name: "top_p", label: "Top p", unset: "1", min: 0, max: 1, step: 0.05 },
  { name: "top_k", label: "Top k", unset: "all", min: 0, step: 1 },
  { name: "repetition_penalty", label: "Repetition penalty", unset: "1", min: 0.01, max: 100, step: 0.05 },
  { name: "seed", label: "Seed", unset: "none", min: 0, step: 1 },
];

// Why a schema cannot be sent, or null.
export function schemaFault(text) {
  if (!text.trim()) return null;
  try {
    const schema = JSON.parse(text);
    return schema && typeof schema === "object" && !Array.isArray(schema)
      ? null
      : "A JSON schema is an object.";
  } catch (error) {
    return `This is no JSON yet: ${error.message}`;
  }
}

// The options that are set, as the server's `parameters`.
export function parametersOf(options) {
  const { schema, ...numbers } = options;
  const given = Object.entries(numbers).filter(([, text]) => text !== "");
  const parameters = Object.fromEntries(given.map(([name, text]) => [name, Number(text)]));
  return schema.trim() ? { ...parameters, schema: JSON.parse(schema) } : parameters;
}

export function Options({ options, onChange }) {
  const set = (name) => (event) => onChange({ ...options, [name]: event.target.value });
  const fault = schemaFault(options.schema);
  return html`<details class="options">
    <summary>Options for tasks that write</summary>
    <div class="fields">
      ${NUMBERS.map(
        ({ name, label, unset, ...bounds }) =>
          html`<label key=${name}
            >${label}
            <input type="number" placeholder=${unset} value=${options[name]} onInput=${set(name)} ...${bounds} />
          </label>`,
      )}
    </div>
    <label class="schema"
      >JSON schema that the answer keeps to
      <textarea
        rows="4"
        spellcheck="false"
        placeholder='{"type": "object", "properties": {"title": {"type": "string"}}}'
        aria-invalid=${fault ? "true" : undefined}
        aria-describedby="schema-fault"
        value=${options.schema}
        onInput=${set("schema")}
      ></textarea>
    </label>
    <p id="schema-fault" class="bad">${fault}</p>
  </details>`;
}
