// Calls of tools that an answer makes, as they come.

import { html } from "../html.js";

// A stream's stretches of calls, added to those that are there.
export function joined(calls, pieces) {
  const all = [...calls];
  for (const { index, function: called } of pieces) {
    const before = all[index] ?? { name: "", text: "" };
    all[index] = { name: before.name + (called.name ?? ""), text: before.text + called.arguments };
  }
  return all;
}

function parsed(text) {
  try {
    return Object.entries(JSON.parse(text));
  } catch {
    return null; // It is not whole yet.
  }
}

const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value));

function Arguments({ text }) {
  const values = parsed(text);
  if (!values) return html`<code>${text}</code>`;
  if (!values.length) return html`<p class="quiet">with no arguments</p>`;
  return html`<dl class="facts">${values.map(([name, value]) => html`<dt>${name}</dt><dd>${shown(value)}</dd>`)}</dl>`;
}

export function Calls({ calls }) {
  if (!calls.length) return null;
  return html`<ul class="calls" aria-label="Calls of tools">
    ${calls.map(({ name, text }) => html`<li><p><span class="quiet">calls</span> <strong>${name}</strong></p><${Arguments} text=${text} /></li>`)}
  </ul>`;
}
