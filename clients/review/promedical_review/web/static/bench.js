/* Verdicts on answers, checkpoint by checkpoint: a key a verdict, and on to the next. For raters and adjudicators. */
import { show } from "./queue.js";
import { text } from "./texts.js";
import { Work } from "./work.js";

const form = document.getElementById("verdicts");
const rows = [...form.querySelectorAll(".criterion")];
const answers = JSON.parse(document.getElementById("answers").textContent);
const say = document.getElementById("say");
const part = (row, name) => row.querySelector(`[data-name="${name}"]`);
const chosen = (row) => row.querySelector("input[type=radio]:checked")?.value ?? null;
const complete = (row) => chosen(row) !== null && part(row, "reason")?.value !== "";
const current = () => form.querySelector(".criterion.current");

function valueOf(row) {
  const { answer, criterion } = row.dataset;
  const value = { answer, criterion, verdict: chosen(row), rationale: part(row, "rationale").value };
  if (part(row, "reason")) return { ...value, reason: part(row, "reason").value || null };
  return { ...value, span: part(row, "span").dataset.span ? JSON.parse(part(row, "span").dataset.span) : null };
}

function collect() {
  return { verdicts: rows.map(valueOf) };
}

function restore(body) {
  const known = Object.fromEntries(body.verdicts.map((each) => [`${each.answer} ${each.criterion}`, each]));
  for (const row of rows) {
    const { verdict = null, rationale = "", span = null, reason = null } = known[`${row.dataset.answer} ${row.dataset.criterion}`] ?? {};
    for (const radio of row.querySelectorAll("input[type=radio]")) radio.checked = radio.value === verdict;
    part(row, "rationale").value = rationale;
    explain(row, rationale !== "" || span !== null);
    if (part(row, "reason")) part(row, "reason").value = reason ?? "";
    else quote(row, span);
  }
  refresh();
  select(rows.find((row) => !complete(row)) ?? rows[0]);
}

function explain(row, open) {
  row.querySelector(".why").hidden = !open;
}

/* The span of the answer that a verdict rests on: places in the text as it was sent, in characters. */
function quote(row, span) {
  const place = part(row, "span");
  place.dataset.span = span ? JSON.stringify(span) : "";
  place.textContent = span ? [...answers[row.dataset.answer]].slice(...span).join("") : "";
  place.hidden = !span;
}

function spanOf(row, selection) {
  const shown = form.querySelector(`[data-shown="${CSS.escape(row.dataset.answer)}"]`);
  if (!selection.rangeCount || selection.isCollapsed || !shown.contains(selection.getRangeAt(0).commonAncestorContainer)) return null;
  const words = selection.toString().match(/[\p{L}\p{N}]+/gu);
  if (!words) return null;
  const range = selection.getRangeAt(0);
  const before = document.createRange();
  before.setStart(shown, 0);
  before.setEnd(range.startContainer, range.startOffset);
  const pattern = () => new RegExp(words.join("[^\\p{L}\\p{N}]*"), "gu");  // marks of Markdown stand between words
  const nth = (before.toString().match(pattern()) ?? []).length;
  const raw = answers[row.dataset.answer];
  const found = [...raw.matchAll(pattern())][nth];
  if (!found) return null;
  const start = [...raw.slice(0, found.index)].length;
  return [start, start + [...found[0]].length];
}

function refresh() {
  for (const row of rows) row.classList.toggle("done", complete(row));
  const left = rows.filter((row) => !complete(row)).length;
  document.getElementById("left").textContent = text(left ? "js.left" : "js.left_none", { count: left });
  document.getElementById("submit").setAttribute("aria-disabled", String(left > 0));
}

function select(row, { focus = false } = {}) {
  current()?.classList.remove("current");
  row.classList.add("current");
  if (!focus) return;
  row.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

function step(by) {
  select(rows[Math.min(Math.max(rows.indexOf(current()) + by, 0), rows.length - 1)], { focus: true });
}

function edited() {
  refresh();
  say.hidden = true;
  work.edited();
}

form.addEventListener("input", edited);
form.addEventListener("focusin", (event) => {
  const row = event.target.closest(".criterion");
  if (row && row !== current()) select(row);
});
form.addEventListener("submit", (event) => event.preventDefault());

/* A key (a click that the key layer makes) judges and goes on; a mouse, Tab or arrows stay where they are. */
for (const radio of form.querySelectorAll("input[type=radio]")) {
  radio.addEventListener("click", (event) => {
    if (event.isTrusted) return;
    const row = radio.closest(".criterion");
    if (part(row, "reason")?.value === "") {
      part(row, "reason").focus();
      return;
    }
    const next = rows.slice(rows.indexOf(row) + 1).find((each) => !complete(each)) ?? rows.find((each) => !complete(each));
    select(next ?? row, { focus: true });
  });
}

for (const button of form.querySelectorAll("[data-quote]")) {
  button.addEventListener("mousedown", (event) => event.preventDefault());  // the selection stays
  button.addEventListener("click", () => {
    const row = button.closest(".criterion");
    const span = spanOf(row, getSelection());
    if (!span && !part(row, "span").dataset.span) {
      say.textContent = text("js.select_first");
      say.hidden = false;
      return;
    }
    quote(row, span);
    explain(row, true);
    edited();
  });
}
for (const button of form.querySelectorAll("[data-write]")) {
  button.addEventListener("click", () => {
    const rationale = part(button.closest(".criterion"), "rationale");
    explain(button.closest(".criterion"), true);
    rationale.focus();
  });
}

document.getElementById("next-criterion").addEventListener("click", () => step(1));
document.getElementById("previous-criterion").addEventListener("click", () => step(-1));
document.getElementById("submit").addEventListener("click", (event) => {
  const missing = rows.find((row) => !complete(row));
  if (!missing) {
    work.submit({});
    return;
  }
  say.textContent = document.getElementById("left").textContent;
  say.hidden = false;
  select(missing, { focus: true });
  event.preventDefault();
});

restore(JSON.parse(document.getElementById("saved").textContent));
const work = new Work(form, { collect, restore });
show(navigator.onLine ? "saved" : "offline");
