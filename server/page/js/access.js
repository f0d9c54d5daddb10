// What the key in use is good for; a server without keys lets everybody do all.

import { getJson } from "./api.js";
import { store } from "./store.js";

// { name, tenant, scopes, expires }; null until the server has told. Views are drawn only then.
export const access = store(null);

export async function loadAccess() {
  access.set(await getJson("v1/keys/self"));
}

export const may = (scope) => access.get()?.scopes.includes(scope) ?? false;

// A tenant changes its own tasks, not those that all share.
export const mayChange = (task) => may("write") && task.tenant === access.get().tenant;

// What the whole server does is for keys of no tenant.
export const mayWatch = () => may("read") && !access.get().tenant;
