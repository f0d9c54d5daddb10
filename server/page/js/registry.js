// The tasks of the server, the base first, as all views share them.

import { access, loadAccess, may } from "./access.js";
import { getJson } from "./api.js";
import { store } from "./store.js";

export const BASE = "base";

// { list, error }; list is null until the server has answered.
export const tasks = store({ list: null, error: null });

async function listed() {
  if (may("read")) {
    const [base, found] = await Promise.all([getJson("v1/tasks/base"), getJson("v1/tasks")]);
    return [base, ...found.tasks];
  }
  return may("infer") ? (await getJson("v1/models")).data.map(taskOf) : [];
}

// What may be asked is told to keys that read nothing else, too.
const taskOf = ({ id, type, kind, root }) => ({
  id,
  type,
  kind,
  kinds: id === BASE ? [] : kind.split("+"),
  base: root,
});

export async function loadTasks() {
  try {
    if (!access.get()) await loadAccess();
    tasks.set({ list: await listed(), error: null });
  } catch (error) {
    tasks.set((before) => ({ ...before, error }));
  }
}

// With another key, nothing stays of what the one before was shown.
export function loadAnew() {
  access.set(null);
  tasks.set({ list: null, error: null });
  return loadTasks();
}

// Tasks whose name holds a text, of the types and kinds that are chosen, if any are.
export function matching(list, { text, types, kinds }) {
  const wanted = text.trim().toLowerCase();
  return list.filter(
    (task) =>
      task.id.toLowerCase().includes(wanted) &&
      (!types.length || types.includes(task.type)) &&
      (!kinds.length || kinds.some((kind) => task.kinds.includes(kind))),
  );
}

export const NO_FILTER = { text: "", types: [], kinds: [] };
