/* The rubric editor: criteria are added, reworded, moved and deleted in the page; the server says what it thinks of the
   wording and what the edit changed. Times of typing cost no request: advice comes after a moment of quiet. */
import { newId, same, send, show } from "./queue.js";
import { text } from "./texts.js";
import { Work } from "./work.js";

const ADVICE_MS = 500;
const form = document.getElementById("editor");
const template = document.getElementById("criterion-template");
const saved = JSON.parse(document.getElementById("original").textContent);
const lists = Object.fromEntries([...form.querySelectorAll(".criteria")].map((list) => [list.dataset.dimension, list]));
let timer = 0;

const all = () => [...form.querySelectorAll(".criterion")];
const field = (row, name) => row.querySelector(`[data-name="${name}"]`);
const current = () => form.querySelector(".criterion.current");

const note = document.getElementById("note");

function collect() {
  return { criteria: all().map(valueOf), note: note.value };
}

function valueOf(row) {
  const dimension = row.closest(".criteria").dataset.dimension;
  const weight = field(row, "weight").value.trim();
  return {
    id: row.dataset.id,
    text: field(row, "text").value,
    dimension,
    polarity: dimension === "safety" ? "negative" : field(row, "polarity").value,
    weight: dimension === "proficiency" && weight !== "" ? Number(weight) : null,
    citation: field(row, "citation").value.trim() || null,
    drafters: JSON.parse(row.dataset.drafters),
  };
}

function restore(body) {
  for (const list of Object.values(lists)) list.replaceChildren();
  for (const criterion of body.criteria) lists[criterion.dimension].append(made(criterion));
  note.value = body.note ?? "";
  select(all()[0]);
  refresh();
}

function made(criterion) {
  const row = template.content.firstElementChild.cloneNode(true);
  row.dataset.id = criterion.id;
  row.dataset.drafters = JSON.stringify(criterion.drafters ?? []);
  for (const name of ["text", "polarity", "weight", "citation"]) field(row, name).value = criterion[name] ?? "";
  field(row, "dimension").value = criterion.dimension;
  for (const label of row.querySelectorAll("label[data-for]")) {
    const control = field(row, label.dataset.for);
    control.id = `${label.dataset.for}-${criterion.id}`;
    label.htmlFor = control.id;
  }
  return row;
}

function select(row, { focus = false } = {}) {
  current()?.classList.remove("current");
  if (!row) return;
  row.classList.add("current");
  if (focus) {
    row.focus();
    row.scrollIntoView({ block: "nearest" });
  }
}

function step(by) {
  const rows = all();
  const at = rows.indexOf(current());
  select(rows[Math.min(Math.max(at + by, 0), rows.length - 1)], { focus: true });
}

function changed() {
  return !same(collect().criteria, saved.criteria);
}

/* Shares, numbers and buttons follow the criteria. */
function refresh() {
  const before = Object.fromEntries(saved.criteria.map((each) => [each.id, each]));
  const values = collect().criteria;
  const weights = values.filter((each) => each.dimension === "proficiency").map((each) => each.weight ?? 1);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  all().forEach((row, at) => {
    const value = values[at];
    const proficient = value.dimension === "proficiency";
    row.classList.toggle("changed", !same(before[value.id] ?? null, value));
    row.querySelector(".position").textContent = text("js.criterion", { number: at + 1 });
    row.setAttribute("aria-label", text("js.criterion", { number: at + 1 }));
    for (const part of row.querySelectorAll(".weighted")) part.hidden = !proficient;
    row.querySelector(".polar").hidden = value.dimension === "safety";
    const share = proficient && total > 0 ? (value.weight ?? 1) / total : 0;
    row.querySelector("output").textContent = total > 0 ? text("js.share", { share: share.toFixed(3) }) : text("js.no_share");
  });
  for (const [dimension, list] of Object.entries(lists)) {
    form.querySelector(`[data-count="${dimension}"]`).textContent = list.children.length;
  }
  const edited = changed();
  document.getElementById("undo").hidden = !edited;
  document.querySelector('[data-decide="accepted"]').setAttribute("aria-disabled", String(edited));
  document.querySelector('[data-decide="fixed"]').setAttribute("aria-disabled", String(!edited));
}

function edited() {
  refresh();
  work.edited();
  clearTimeout(timer);
  timer = setTimeout(advise, ADVICE_MS);
}

async function advise() {
  const answer = await send("POST", form.dataset.check, { criteria: collect().criteria });
  if (answer.kind !== "sent") return;
  for (const row of all()) showFindings(row, answer.data.findings.filter((each) => each.criterion === row.dataset.id));
  const place = document.getElementById("changes");
  place.replaceChildren(...answer.data.changes.map((change) => {
    const item = document.createElement("li");
    for (const piece of change) {
      const part = document.createElement(piece.mark ?? "span");
      part.textContent = piece.text;
      item.append(part, " ");
    }
    return item;
  }));
  document.getElementById("no-changes").hidden = answer.data.changes.length > 0;
}

function showFindings(row, findings) {
  row.querySelector(".findings").replaceChildren(...findings.map((finding) => {
    const item = document.createElement("li");
    item.textContent = finding.message;
    return item;
  }));
}

const actions = {
  up: (row) => row.previousElementSibling?.before(row),
  down: (row) => row.nextElementSibling?.after(row),
  remove: (row) => {
    const rows = all();
    const next = rows[rows.indexOf(row) + 1] ?? rows[rows.indexOf(row) - 1];
    row.remove();
    select(next, { focus: true });
  },
};

form.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-action]");
  const row = event.target.closest(".criterion");
  if (row && !button) select(row);
  if (!button) return;
  actions[button.dataset.action](row);
  if (row.isConnected) button.focus();
  edited();
});

form.addEventListener("focusin", (event) => {
  const row = event.target.closest(".criterion");
  if (row && row !== current()) select(row);
});

form.addEventListener("input", (event) => {
  if (!event.target.closest(".criterion, #note")) return;
  if (event.target.dataset.name === "dimension") {
    const row = event.target.closest(".criterion");
    lists[event.target.value].append(row);
    field(row, "polarity").value = event.target.value === "safety" ? "negative" : "positive";
    event.target.focus();
  }
  edited();
});

form.addEventListener("submit", (event) => event.preventDefault());

for (const button of document.querySelectorAll("[data-add]")) {
  button.addEventListener("click", () => {
    const dimension = button.dataset.add;
    const polarity = dimension === "safety" ? "negative" : "positive";
    const row = made({ id: `new-${newId().slice(0, 8)}`, text: "", dimension, polarity });
    lists[dimension].append(row);
    select(row);
    edited();
    field(row, "text").focus();
  });
}

document.getElementById("next-criterion").addEventListener("click", () => step(1));
document.getElementById("previous-criterion").addEventListener("click", () => step(-1));
document.getElementById("reword").addEventListener("click", () => current() && field(current(), "text").focus());
document.getElementById("undo").addEventListener("click", () => {
  if (!changed() || !confirm(text("js.undo_sure"))) return;
  restore(saved);
  edited();
});

for (const button of document.querySelectorAll("[data-decide]")) {
  button.addEventListener("click", () => decide(button));
}

function decide(button) {
  const verdict = button.dataset.decide;
  const say = document.getElementById("say");
  say.hidden = button.getAttribute("aria-disabled") !== "true";
  if (!say.hidden) {
    say.textContent = text(verdict === "accepted" ? "js.accept_changed" : "js.fix_unchanged");
  } else if (verdict === "rejected") {
    document.getElementById("reasons").close();
    work.submit({ verdict, reason: button.dataset.reason, criteria: [] });
  } else {
    work.submit({ verdict, reason: null });
  }
}

restore(JSON.parse(document.getElementById("saved").textContent));
const work = new Work(form, { collect, restore });
advise();
show(navigator.onLine ? "saved" : "offline");
