/* The keyboard layer: a key presses the button that names it in data-key, so every key has a button.
   Letters mean themselves where somebody types, and a switch turns the layer off (WCAG 2.1.4). */
import { read, remove, write } from "./storage.js";
import { text } from "./texts.js";

const OFF = "promedical-review:keys-off";
const toggle = document.getElementById("keys-toggle");

function typing(target) {
  return target.matches?.("textarea, select, [contenteditable], input:not([type=radio], [type=checkbox], [type=submit])");
}

function show() {
  const on = read(OFF) === null;
  toggle.setAttribute("aria-pressed", String(on));
  toggle.textContent = text(on ? "js.keys_on" : "js.keys_off");
}

function buttonFor(key) {
  const scope = document.querySelector("dialog[open]") ?? document;
  const name = `[data-key="${CSS.escape(key)}"]`;
  const near = scope.querySelector(`.criterion.current ${name}`);
  return near ?? [...scope.querySelectorAll(name)].find((each) => !each.closest(".criterion") && each.offsetParent !== null);
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && typing(event.target)) {
    (event.target.closest(".criterion") ?? event.target).focus();
    if (typing(document.activeElement)) document.activeElement.blur();
    return;
  }
  const plain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.isComposing;
  if (!plain || typing(event.target) || read(OFF) !== null) return;
  const button = buttonFor(event.key);
  if (!button) return;
  event.preventDefault();
  button.click();
});

toggle.addEventListener("click", () => {
  if (read(OFF) === null) write(OFF, "1");
  else remove(OFF);
  show();
});
show();
