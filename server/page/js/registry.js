// The tasks of the server, the base first, as all views share them.

import { getJson } from "./api.js";
import { store } from "./store.js";

export const BASE = "base";

// { list, error }; list is null until the server has answered.
export const tasks = store({ list: null, error: null });

export async function loadTasks() {
  try {
    const [base, found] = await Promise.all([getJson("v1/tasks/base"), getJson("v1/tasks")]);
    tasks.set({ list: [base, ...found.tasks], error: null });
  } catch (error) {
    tasks.set((before) => ({ ...before, error }));
  }
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
