// One line about what was just done, with a way to undo it where there is one.

import { html } from "./html.js";
import { store } from "./store.js";

const shown = store(null);

export const tell = (text, undo = null) => shown.set({ text, undo });

export const complain = (error) => shown.set({ text: error.message, bad: true });

// Does something that the server may refuse, which is then said.
export async function attempt(work) {
  try {
    await work();
  } catch (error) {
    complain(error);
  }
}

export function Toast() {
  const toast = shown.use();
  const close = () => shown.set(null);
  function undo() {
    close();
    attempt(toast.undo);
  }
  return html`<div class="toasts" role="status">
    ${toast &&
    html`<p class=${toast.bad ? "toast bad" : "toast"}>
      <span>${toast.text}</span>
      ${toast.undo && html`<button type="button" class="link" onClick=${undo}>Undo</button>`}
      <button type="button" class="close" aria-label="Close" onClick=${close}>×</button>
    </p>`}
  </div>`;
}
