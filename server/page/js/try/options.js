// Options of generation: what is left empty is left to the server.

import { html } from "../html.js";
import { isObject, JsonField, jsonFault } from "./json_field.js";

const NUMBERS = [
  { name: "max_tokens", label: "Longest answer, tokens", unset: "128", min: 1, step: 1 },
  { name: "temperature", label: "Temperature", unset: "0", min: 0, max: 10, step: 0.1 },
  { name: "top_p", label: "Top p", unset: "1", min: 0, max: 1, step: 0.05 },
  { name: "top_k", label: "Top k", unset: "all", min: 0, step: 1 },
  { name: "min_p", label: "Min p", unset: "0", min: 0, max: 1, step: 0.05 },
  { name: "repetition_penalty", label: "Repetition penalty", unset: "1", min: 0.01, max: 100, step: 0.05 },
  { name: "presence_penalty", label: "Presence penalty", unset: "0", min: -2, max: 2, step: 0.1 },
  { name: "frequency_penalty", label: "Frequency penalty", unset: "0", min: -2, max: 2, step: 0.1 },
  { name: "seed", label: "Seed", unset: "none", min: 0, step: 1 },
];

const SCHEMA = {
  type: "object",
  properties: { title: { type: "string", maxLength: 80 }, places: { type: "array", items: { type: "string", maxLength: 40 }, maxItems: 4 } },
  required: ["title", "places"],
};

const TOOLS = [
  {
    type: "function",
    function: {
      name: "weather",
      description: "Tells tomorrow's weather",
      parameters: {
        type: "object",
        properties: { city: { type: "string", maxLength: 40 }, unit: { enum: ["celsius", "fahrenheit"] } },
        required: ["city", "unit"],
      },
    },
  },
];

export const NO_OPTIONS = {
  ...Object.fromEntries(NUMBERS.map(({ name }) => [name, ""])),
  stop: "",
  schema: "",
  tools: "",
  choice: "auto",
};

const schemaFault = ({ schema }) =>
  jsonFault(schema, (value) => (isObject(value) ? null : "A JSON schema is an object."));

const isTool = (value) => isObject(value) && isObject(value.function);

const toolsFault = ({ tools }) =>
  jsonFault(tools, (value) =>
    Array.isArray(value) && value.length && value.every(isTool)
      ? null
      : "Tools are a list of objects, each with a function: see the example.",
  );

// Why the options cannot be sent, or null.
export const optionsFault = (options) => schemaFault(options) ?? toolsFault(options);

// The options that are set, as the server's `parameters`.
export function parametersOf({ stop, schema, tools, choice, ...numbers }) {
  const given = Object.entries(numbers).filter(([, text]) => text !== "");
  return {
    ...Object.fromEntries(given.map(([name, text]) => [name, Number(text)])),
    ...(stop && { stop: [stop] }),
    ...(schema.trim() && { schema: JSON.parse(schema) }),
    ...(tools.trim() && { tools: JSON.parse(tools), ...(choice !== "auto" && { tool_choice: choice }) }),
  };
}

export function Options({ options, open, onChange, onToggle }) {
  const set = (name) => (value) => onChange({ ...options, [name]: value });
  const typed = (name) => (event) => set(name)(event.target.value);
  const given = Object.keys(NO_OPTIONS).filter((name) => options[name] !== NO_OPTIONS[name]).length;
  return html`<details class="options" open=${open} onToggle=${(event) => onToggle(event.target.open)}>
    <summary>Options for tasks that write${given > 0 && html`<span class="badge">${given} set</span>`}</summary>
    <div class="fields">
      ${NUMBERS.map(
        ({ name, label, unset, ...bounds }) =>
          html`<label key=${name}
            >${label}
            <input type="number" placeholder=${unset} value=${options[name]} onInput=${typed(name)} ...${bounds} />
          </label>`,
      )}
      <label>Stop before<input placeholder="nothing" value=${options.stop} onInput=${typed("stop")} /></label>
    </div>
    <${JsonField}
      name="schema"
      label="JSON schema that the answer keeps to"
      value=${options.schema}
      fault=${schemaFault(options)}
      example=${SCHEMA}
      onChange=${set("schema")}
    />
    <${JsonField}
      name="tools"
      label="Tools that the answer may call"
      value=${options.tools}
      fault=${toolsFault(options)}
      example=${TOOLS}
      onChange=${set("tools")}
    />
    ${options.tools.trim() &&
    html`<label class="tick"
      ><input type="checkbox" checked=${options.choice === "required"} onChange=${(event) => set("choice")(event.target.checked ? "required" : "auto")} />
      It must call one</label
    >`}
  </details>`;
}
