// A field for JSON: what is wrong with it as long as something is, and an example to begin with.

import { html } from "../html.js";

// Why a text cannot be sent, or null; `check` finds what is wrong with what it says.
export function jsonFault(text, check) {
  if (!text.trim()) return null;
  try {
    return check(JSON.parse(text));
  } catch (error) {
    return `This is no JSON yet: ${error.message}`;
  }
}

export const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

export function JsonField({ name, label, value, fault, example, onChange }) {
  const [field, told] = [`${name}-field`, `${name}-fault`];
  return html`<div class="json">
    <label for=${field}>${label}</label>
    ${!value &&
    html`<button type="button" class="link" onClick=${() => onChange(JSON.stringify(example, null, 2))}>
      Example<span class="unseen"> of: ${label}</span>
    </button>`}
    <textarea
      id=${field}
      rows=${Math.min(14, Math.max(2, value.split("\n").length))}
      spellcheck="false"
      aria-invalid=${fault ? "true" : undefined}
      aria-describedby=${told}
      value=${value}
      onInput=${(event) => onChange(event.target.value)}
    ></textarea>
    <p id=${told} class="bad">${fault}</p>
  </div>`;
}
