/* The texts of scripts, in the reader's language: the page brings them as data. */
const catalog = JSON.parse(document.getElementById("texts").textContent);

export function text(key, values = {}) {
  return (catalog[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/* A time in the reader's zone and language. */
export function localTime(iso) {
  const format = { dateStyle: "medium", timeStyle: "short" };
  return new Intl.DateTimeFormat(document.documentElement.lang, format).format(new Date(iso));
}
