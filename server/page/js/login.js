// Asks for an API key when the server wants one.

import { access } from "./access.js";
import { asked, keepKey } from "./api.js";
import { html, useEffect, useRef } from "./html.js";
import { loadAnew } from "./registry.js";

export function Login() {
  const why = asked.use();
  const dialog = useRef();
  useEffect(() => {
    if (why && !dialog.current.open) dialog.current.showModal();
    if (!why) dialog.current.close();
  }, [why]);

  // It stays open until a key is taken.
  async function enter(event) {
    event.preventDefault();
    keepKey(new FormData(event.target).get("key").trim());
    event.target.reset();
    await loadAnew();
    if (access.get()) asked.set(null);
  }

  return html`<dialog ref=${dialog} class="login" aria-labelledby="login-title" onClose=${() => asked.set(null)}>
    <form onSubmit=${enter}>
      <h2 id="login-title">This server wants an API key</h2>
      <p class="quiet">${why}</p>
      <label for="key">API key</label>
      <input id="key" name="key" type="password" autocomplete="off" required />
      <p class="quiet">It is kept until this tab is closed, and sent to this server alone.</p>
      <button class="main">Use this key</button>
    </form>
  </dialog>`;
}
