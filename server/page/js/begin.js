// Asks for what the first view shows while the modules that show it still come.

import { loadTasks } from "./registry.js";

loadTasks();
