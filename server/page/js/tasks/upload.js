// Adding tasks: folders or files are dropped or chosen, named, uploaded, and taken or refused.

import { html, useEffect, useRef, useState } from "../html.js";
import { loadTasks } from "../registry.js";
import { store } from "../store.js";
import { complain } from "../toast.js";
import { bytes, count } from "../words.js";
import { chosen, deltas, dropped } from "./files.js";
import { put } from "./put.js";

// Uploads go on while other views are looked at.
const uploads = store([]);
let last = 0;

const change = (id, what) =>
  uploads.set((all) => all.map((each) => (each.id === id ? { ...each, ...what } : each)));

const forget = (id) => uploads.set((all) => all.filter((each) => each.id !== id));

function add(found) {
  const news = deltas(found).filter(({ files }) => files.length);
  if (!news.length) complain(new Error("There are no files in it: drop the folder that holds a delta."));
  const first = last + 1;
  last += news.length;
  uploads.set((all) => [...all, ...news.map((each, at) => ({ ...each, id: first + at, state: "named" }))]);
}

async function begin({ id, name, files }) {
  change(id, { state: "sent", progress: 0 });
  try {
    const { task, isNew } = await put(name, files, (progress) => change(id, { progress }));
    change(id, { state: "taken", task, isNew });
    await loadTasks();
  } catch (error) {
    change(id, { state: "refused", error });
  }
}

function Result({ upload }) {
  const { state, progress, task, isNew, error } = upload;
  if (state === "sent") {
    const checked = progress === 1;
    return html`<progress max="1" value=${checked ? undefined : progress} aria-label=${`Upload of ${upload.name}`}></progress>
      <span class="quiet">${checked ? "Checking …" : `${Math.round(progress * 100)} %`}</span>`;
  }
  if (state === "refused") return html`<p class="bad" role="alert">Refused: ${error.message}</p>`;
  const active = task.versions.find((each) => each.active);
  return html`<p class="good" role="status">
      ${isNew ? `Taken: version ${active.number} answers` : "Nothing changed: this very delta answers already"}
      ${` (${task.kind}, ${bytes(task.bytes)}).`} <a href=${`#tasks/${task.id}`}>${task.id}</a>
    </p>
    ${task.warnings.map((warning) => html`<p class="warning">${warning}</p>`)}`;
}

function Row({ upload, names }) {
  const { id, name, files, state } = upload;
  const size = files.reduce((sum, file) => sum + file.size, 0);
  const field = `upload-${id}`;
  const open = state === "named" || state === "refused";
  return html`<li>
    <form
      onSubmit=${(event) => {
        event.preventDefault();
        begin(upload);
      }}
    >
      <label for=${field}>Task</label>
      <input
        id=${field}
        required
        pattern="[A-Za-z0-9][A-Za-z0-9._\\-]*"
        title="Letters, digits, . _ -"
        value=${name}
        disabled=${!open}
        onInput=${(event) => change(id, { name: event.target.value })}
      />
      <span class="quiet">${count(files.length, "file")}, ${bytes(size)}${names.includes(name) && open ? ": a new version" : ""}</span>
      ${open && html`<button class="main">Upload</button>`}
      ${state !== "sent" && html`<button type="button" class="close" aria-label=${`Forget the upload of ${name}`} onClick=${() => forget(id)}>×</button>`}
    </form>
    ${state !== "named" && html`<${Result} upload=${upload} />`}
  </li>`;
}

// Anything dropped on the page is meant for it; the browser would open it instead.
function useDrop() {
  const [over, setOver] = useState(false);
  useEffect(() => {
    const files = (event) => event.dataTransfer?.types.includes("Files");
    const dragged = (event) => {
      if (!files(event)) return;
      event.preventDefault();
      setOver(event.type === "dragover");
    };
    const drop = (event) => {
      dragged(event);
      if (files(event)) dropped(event.dataTransfer).then(add, complain);
    };
    const kinds = { dragover: dragged, dragleave: dragged, drop };
    for (const [kind, heard] of Object.entries(kinds)) addEventListener(kind, heard);
    return () => {
      for (const [kind, heard] of Object.entries(kinds)) removeEventListener(kind, heard);
    };
  }, []);
  return over;
}

function Choose({ label, ...kind }) {
  const input = useRef();
  function picked() {
    add(chosen(input.current.files));
    input.current.value = "";
  }
  return html`<button type="button" class="plain" onClick=${() => input.current.click()}>${label}</button>
    <input type="file" hidden multiple ref=${input} onChange=${picked} ...${kind} />`;
}

export function Upload({ names }) {
  const all = uploads.use();
  const over = useDrop();
  return html`<section class=${over ? "drop over" : "drop"} aria-labelledby="drop-title">
    <div class="invitation">
      <p id="drop-title">Drop the folder of a delta here to serve it</p>
      <p class="buttons">
        <${Choose} label="Choose a folder" webkitdirectory />
        <${Choose} label="Choose files" />
      </p>
    </div>
    <ul class="uploads">
      ${all.map((upload) => html`<${Row} key=${upload.id} upload=${upload} names=${names} />`)}
    </ul>
  </section>`;
}
