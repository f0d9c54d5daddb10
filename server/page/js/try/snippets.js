// "Copy as code": a request as a command or a program.

import { html, useEffect, useRef, useState } from "../html.js";
import { curl, openai, python } from "./code.js";
import { requestFor } from "./requests.js";

const FORMS = { curl, Python: python, openai };

const origin = () => location.href.split("#")[0].replace(/\/$/, "");

export function Snippets({ asked: { task, text, parameters, keyed }, onClose }) {
  const [form, setForm] = useState("curl");
  const [done, setDone] = useState(false);
  const dialog = useRef();
  const code = useRef();
  const body = requestFor(task, text, parameters);
  useEffect(() => dialog.current.showModal(), []);
  useEffect(() => setDone(false), [form]);

  async function copy() {
    try {
      await navigator.clipboard.writeText(code.current.textContent);
      setDone(true);
    } catch {
      // Browsers keep the clipboard from pages that came without TLS from another machine.
      getSelection().selectAllChildren(code.current);
    }
  }

  return html`<dialog ref=${dialog} class="snippets" aria-labelledby="snippets-title" onClose=${onClose}>
    <header>
      <h2 id="snippets-title">Ask ${task.id} from code</h2>
      <button type="button" class="close" aria-label="Close" onClick=${() => dialog.current.close()}>×</button>
    </header>
    <div class="chips" role="group" aria-label="As">
      ${Object.keys(FORMS).map(
        (name) =>
          html`<button type="button" class="chip" aria-pressed=${name === form} onClick=${() => setForm(name)}>${name}</button>`,
      )}
    </div>
    <pre tabindex="0" aria-label="Code"><code ref=${code}>${FORMS[form](origin(), { task, body, keyed })}</code></pre>
    <button type="button" class="main" onClick=${copy}>${done ? "Copied" : "Copy"}</button>
  </dialog>`;
}
