// Try: one input, and what each of the chosen tasks answers, side by side.

import { access, may } from "../access.js";
import { html, useEffect, useRef } from "../html.js";
import { GONE, later } from "../later.js";
import { Notice } from "../notice.js";
import { BASE, tasks } from "../registry.js";
import { store } from "../store.js";
import { Column, Output } from "./column.js";
import { NO_OPTIONS, Options, optionsFault, parametersOf } from "./options.js";
import { Picker } from "./picker.js";

const Snippets = later(async () => (await import("./snippets.js")).Snippets);
const asking = () => import("./ask.js");

const FIRST = 2;
const EXAMPLE =
  "The central bank raised its main interest rate by half a point on Thursday, the third rise " +
  "this year, and said that prices were still climbing too fast.";

// What is chosen, typed and answered stays while other views are looked at.
const state = store({ chosen: null, text: EXAMPLE, options: NO_OPTIONS, opened: false, asked: null, answers: {} });
const copied = store(null);
let running = null;

const set = (change) => state.set((before) => ({ ...before, ...change }));

const firstChoice = (list) => [
  BASE,
  ...list.filter((task) => task.id !== BASE).slice(0, FIRST).map((task) => task.id),
];

function toggle(chosen, name) {
  set({ chosen: chosen.includes(name) ? chosen.filter((each) => each !== name) : [...chosen, name] });
}

async function run(shown) {
  const { text, options } = state.get();
  if (running || !text.trim() || !shown.length || optionsFault(options)) return;
  running = new AbortController();
  set({ asked: text, answers: Object.fromEntries(shown.map((task) => [task.id, { state: "waiting" }])) });
  const tell = (name, change) =>
    state.set((before) => {
      const answer = { ...before.answers[name], ...change };
      return { ...before, answers: { ...before.answers, [name]: answer } };
    });
  try {
    // What shows answers is there before the first of them.
    const [{ ask }] = await Promise.all([asking(), Output.ahead()]);
    await ask(shown, text, parametersOf(options), tell, running.signal);
  } catch {
    for (const task of shown) tell(task.id, { state: "failed", error: GONE });
  } finally {
    running = null;
    set({});
  }
}

function useKeys(shown, field) {
  useEffect(() => {
    function pressed(event) {
      const typing = event.target.matches("input, textarea");
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run(shown);
      else if (event.key === "Escape" && running) running.abort();
      else if (event.key === "i" && !typing) field.current?.focus();
      else return;
      event.preventDefault();
    }
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, [shown]);
}

// What the first view can do without comes as soon as it stands.
function useRest(stands) {
  useEffect(() => {
    if (stands) for (const ahead of [asking, Output.ahead, Snippets.ahead]) ahead().catch(() => {});
  }, [stands]);
}

export function TryView() {
  const { list, error } = tasks.use();
  const { chosen, text, options, opened, asked, answers } = state.use();
  const field = useRef();
  const names = chosen ?? (list ? firstChoice(list) : []);
  const shown = names.map((name) => list?.find((task) => task.id === name)).filter(Boolean);
  const copying = copied.use();
  useKeys(shown, field);
  useRest(list !== null);

  if (!may("infer")) return html`<p class="notice quiet">This key asks no task: that takes one with the scope infer.</p>`;
  if (!list) return html`<${Notice} error=${error} />`;
  const parameters = optionsFault(options) ? {} : parametersOf(options);
  return html`<div class="try">
    <${Picker} list=${list} chosen=${names} onToggle=${(name) => toggle(names, name)} />
    <div class="bench">
      <form
        class="composer"
        onSubmit=${(event) => {
          event.preventDefault();
          if (running) running.abort();
          else run(shown);
        }}
      >
        <label for="input">Input</label>
        <textarea id="input" rows="4" ref=${field} value=${text} onInput=${(event) => set({ text: event.target.value })}></textarea>
        <div class="go">
          <button class="main" disabled=${!running && (!shown.length || !text.trim())}>
            ${running ? "Stop" : "Ask"} <kbd>${running ? "Esc" : "Ctrl ↵"}</kbd>
          </button>
          <${Options} options=${options} open=${opened} onChange=${(next) => set({ options: next })} onToggle=${(open) => set({ opened: open })} />
        </div>
      </form>
      <section class="columns" aria-label="Answers">
        ${shown.map(
          (task) =>
            html`<${Column}
              key=${task.id}
              task=${task}
              answer=${answers[task.id]}
              input=${asked ?? text}
              onCopy=${() => copied.set({ task, text, parameters, keyed: access.get().name !== null })}
              onClose=${() => toggle(names, task.id)}
            />`,
        )}
        ${!shown.length && html`<p class="quiet">Choose a task to ask it.</p>`}
      </section>
    </div>
    ${copying && html`<${Snippets} asked=${copying} onClose=${() => copied.set(null)} />`}
  </div>`;
}
