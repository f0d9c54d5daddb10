// What can be done to a task; each change is told, and undone where the store still has what was.

import { send, taskPath } from "../api.js";
import { loadTasks } from "../registry.js";
import { tell } from "../toast.js";

async function put(name, version) {
  await send("POST", `${taskPath(name)}/activate`, { version });
  await loadTasks();
}

export async function activate(task, version) {
  const before = task.versions.find((each) => each.active);
  await put(task.id, version.digest);
  tell(`${task.id} answers with version ${version.number}.`, before && (() => put(task.id, before.digest)));
}

export async function remove(task) {
  const { digest } = task.versions.find((each) => each.active);
  await send("DELETE", taskPath(task.id));
  await loadTasks();
  tell(`${task.id} is removed; its versions are in the store for some time.`, async () => {
    await put(task.id, digest);
    tell(`${task.id} is back.`);
  });
}

export async function share(task, shares) {
  await send("PUT", `${taskPath(task.id)}/traffic`, shares);
  tell(`${task.id}'s requests are shared.`);
}

export async function unshare(task) {
  await send("DELETE", `${taskPath(task.id)}/traffic`);
  tell(`${task.id}'s active version answers alone.`);
}
