/* What every page has: times in the reader's zone, the help of keys, the queue, confirmation of what cannot be undone. */
import "./keys.js";
import { readyToLeave } from "./queue.js";
import { localTime } from "./texts.js";

function showTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) time.textContent = localTime(time.dateTime);
}

showTimes(document);
document.addEventListener("htmx:after:swap", () => showTimes(document));

for (const opener of document.querySelectorAll("[data-opens]")) {
  opener.addEventListener("click", () => document.getElementById(opener.dataset.opens).showModal());
}
for (const closer of document.querySelectorAll("[data-closes]")) {
  closer.addEventListener("click", () => closer.closest("dialog").close());
}
for (const form of document.querySelectorAll("form[data-confirm]")) {
  form.addEventListener("submit", (event) => { if (!confirm(form.dataset.confirm)) event.preventDefault(); });
}
document.getElementById("logout")?.addEventListener("submit", (event) => {
  if (!readyToLeave()) event.preventDefault();
});
