// How things are called and numbers are written.

const TYPES = { generate: "writes", classify: "labels", tag: "marks", embed: "embeds" };

export const typeWord = (type) => TYPES[type] ?? type;

const UNITS = ["B", "kB", "MB", "GB", "TB"];

export function bytes(count) {
  let unit = 0;
  let value = count;
  for (; value >= 1000 && unit < UNITS.length - 1; unit += 1) value /= 1000;
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

export const score = (value) => value.toFixed(3);

export const seconds = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

export const count = (number, one, many = `${one}s`) =>
  `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

export const date = (unix) =>
  new Date(unix * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });

export const clock = (unix) => new Date(unix * 1000).toLocaleTimeString("en-GB");
