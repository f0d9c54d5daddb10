// A search field and chips for types and kinds, above any list of tasks.

import { html, useEffect, useRef } from "./html.js";
import { typeWord } from "./words.js";

const toggled = (values, value) =>
  values.includes(value) ? values.filter((each) => each !== value) : [...values, value];

function Chips({ label, values, chosen, word = (value) => value, onChange }) {
  if (values.length < 2) return null;
  return html`<div class="chips" role="group" aria-label=${label}>
    ${values.map(
      (value) =>
        html`<button
          type="button"
          class="chip"
          key=${value}
          aria-pressed=${chosen.includes(value)}
          onClick=${() => onChange(toggled(chosen, value))}
        >
          ${word(value)}
        </button>`,
    )}
  </div>`;
}

// '/' goes to the search, unless it is being typed.
function useSlash(field) {
  useEffect(() => {
    function pressed(event) {
      if (event.key !== "/" || event.target.matches("input, textarea")) return;
      event.preventDefault();
      field.current.focus();
    }
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}

export function Filter({ list, filter, onChange }) {
  const field = useRef();
  useSlash(field);
  const types = [...new Set(list.map((task) => task.type))].sort();
  const kinds = [...new Set(list.flatMap((task) => task.kinds))].sort();
  return html`<div class="filter" role="search">
    <input
      type="search"
      ref=${field}
      aria-label="Search tasks"
      placeholder="Search tasks  /"
      value=${filter.text}
      onInput=${(event) => onChange({ ...filter, text: event.target.value })}
    />
    <${Chips}
      label="Types"
      values=${types}
      chosen=${filter.types}
      word=${typeWord}
      onChange=${(chosen) => onChange({ ...filter, types: chosen })}
    />
    <${Chips}
      label="Kinds"
      values=${kinds}
      chosen=${filter.kinds}
      onChange=${(chosen) => onChange({ ...filter, kinds: chosen })}
    />
  </div>`;
}
