// What was dropped or chosen, as deltas: the files of one folder each.

const MARKERS = ["adapter_config.json", "delta.json"];
const PICKLE = /\.(bin|pt|pth|pkl|ckpt)$/;
const DEEPEST = 4;

const folderOf = (path) => path.slice(0, Math.max(0, path.lastIndexOf("/")));
const last = (path) => path.slice(path.lastIndexOf("/") + 1);

// A task's name that a folder's suggests; empty for loose files.
const suggested = (folder) =>
  last(folder).replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[^A-Za-z0-9]+/, "").slice(0, 128);

// The server opens no pickle: beside weights that it takes, none need travel.
function needed(files) {
  const visible = files.filter((file) => !file.name.startsWith("."));
  const safe = visible.some((file) => file.name.endsWith(".safetensors"));
  return safe ? visible.filter((file) => !PICKLE.test(file.name)) : visible;
}

// `found` has a path for each file. Folders that hold a delta are taken; if none does, the outermost,
// so that the server can say what is missing.
export function deltas(found) {
  const folders = Map.groupBy(found, ({ path }) => folderOf(path));
  const whole = [...folders].filter(([, files]) => files.some(({ file }) => MARKERS.includes(file.name)));
  const taken = whole.length ? whole : [...folders].sort(([a], [b]) => a.length - b.length).slice(0, 1);
  return taken.map(([folder, files]) => ({
    name: suggested(folder),
    files: needed(files.map(({ file }) => file)),
  }));
}

export const chosen = (list) =>
  [...list].map((file) => ({ path: file.webkitRelativePath || file.name, file }));

const entriesIn = async (reader) => {
  const all = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return all;
    all.push(...some);
  }
};

async function walk(entry, path, depth) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{ path, file }];
  }
  if (depth > DEEPEST) return [];
  const inside = await entriesIn(entry.createReader());
  const found = await Promise.all(inside.map((each) => walk(each, `${path}/${each.name}`, depth + 1)));
  return found.flat();
}

export async function dropped(transfer) {
  // The items are gone once this function has waited for anything.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  const found = await Promise.all(entries.map((entry) => walk(entry, entry.name, 0)));
  return found.flat();
}
