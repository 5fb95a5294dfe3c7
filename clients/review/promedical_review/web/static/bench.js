/* Verdicts on one answer: a key a checkpoint, and on to the next. */
import { show } from "./queue.js";
import { text } from "./texts.js";
import { Work } from "./work.js";

const form = document.getElementById("verdicts");
const rows = [...form.querySelectorAll(".criterion")];
const part = (row, name) => row.querySelector(`[data-name="${name}"]`);
const chosen = (row) => row.querySelector("input[type=radio]:checked")?.value ?? null;
const current = () => form.querySelector(".criterion.current");

function collect() {
  return {
    verdicts: rows.map((row) => ({
      checkpoint: row.dataset.id,
      verdict: chosen(row),
      rationale: part(row, "rationale").value,
      span: part(row, "span").dataset.span || null,
    })),
  };
}

function restore(body) {
  const known = Object.fromEntries(body.verdicts.map((each) => [each.checkpoint, each]));
  for (const row of rows) {
    const { verdict = null, rationale = "", span = null } = known[row.dataset.id] ?? {};
    for (const radio of row.querySelectorAll("input[type=radio]")) radio.checked = radio.value === verdict;
    part(row, "rationale").value = rationale ?? "";
    quote(row, span);
  }
  refresh();
  select(rows.find((row) => !chosen(row)) ?? rows[0]);
}

function quote(row, span) {
  const place = part(row, "span");
  place.dataset.span = span ?? "";
  place.textContent = span ?? "";
  place.hidden = !span;
}

function refresh() {
  for (const row of rows) row.classList.toggle("done", chosen(row) !== null);
  const left = rows.filter((row) => chosen(row) === null).length;
  document.getElementById("left").textContent = text(left ? "js.left" : "js.left_none", { count: left });
  document.getElementById("submit").setAttribute("aria-disabled", String(left > 0));
}

function select(row, { focus = false } = {}) {
  current()?.classList.remove("current");
  row.classList.add("current");
  if (!focus) return;
  row.focus();
  row.scrollIntoView({ block: "nearest" });
}

function step(by) {
  select(rows[Math.min(Math.max(rows.indexOf(current()) + by, 0), rows.length - 1)], { focus: true });
}

function edited() {
  refresh();
  work.edited();
}

form.addEventListener("change", (event) => {
  if (event.target.type !== "radio") return;
  edited();
});
form.addEventListener("input", (event) => {
  if (event.target.dataset.name === "rationale") edited();
});
form.addEventListener("focusin", (event) => {
  const row = event.target.closest(".criterion");
  if (row && row !== current()) select(row);
});
form.addEventListener("submit", (event) => event.preventDefault());

/* A key (or a click that the key layer makes) judges and goes on; a mouse or Tab stays where it is. */
for (const radio of form.querySelectorAll("input[type=radio][data-key]")) {
  radio.addEventListener("click", (event) => {
    if (event.isTrusted) return;
    const row = radio.closest(".criterion");
    const next = rows.slice(rows.indexOf(row) + 1).find((each) => !chosen(each)) ?? rows.find((each) => !chosen(each));
    select(next ?? row, { focus: true });
  });
}

for (const button of form.querySelectorAll("[data-quote]")) {
  button.addEventListener("click", () => {
    const selection = getSelection();
    const inAnswer = selection.anchorNode && document.getElementById("answer").contains(selection.anchorNode);
    const words = inAnswer ? selection.toString().trim() : "";
    const row = button.closest(".criterion");
    if (!words && !part(row, "span").dataset.span) {
      const say = document.getElementById("say");
      say.textContent = text("js.select_first");
      say.hidden = false;
      return;
    }
    quote(row, words || null);
    edited();
  });
}
for (const button of form.querySelectorAll("[data-focus]")) {
  button.addEventListener("click", () => part(button.closest(".criterion"), button.dataset.focus).focus());
}

document.getElementById("next-criterion").addEventListener("click", () => step(1));
document.getElementById("previous-criterion").addEventListener("click", () => step(-1));
document.getElementById("submit").addEventListener("click", (event) => {
  if (event.currentTarget.getAttribute("aria-disabled") === "true") {
    const say = document.getElementById("say");
    say.textContent = document.getElementById("left").textContent;
    say.hidden = false;
    select(rows.find((row) => !chosen(row)), { focus: true });
  } else {
    work.submit({});
  }
});

restore(JSON.parse(document.getElementById("saved").textContent));
const work = new Work(form, { collect, restore });
show(navigator.onLine ? "saved" : "offline");
