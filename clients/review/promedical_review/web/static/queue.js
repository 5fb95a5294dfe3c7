/* Work that is not on the server yet. It is kept in this browser under the id of its user and sent, each piece once by
   its own id, as soon as the network is back. Nothing is dropped but by the user. */
import { names, onlyHere, read, remove, write } from "./storage.js";
import { text } from "./texts.js";

const user = document.body.dataset.user;
const SUBMIT = `promedical-review:${user}:submit:`;
const DRAFT = `promedical-review:${user}:draft:`;
const AGAIN_MS = 10_000;
const state = document.getElementById("net");

export function show(name, values) {
  state.dataset.state = name;
  state.textContent = text(`js.net_${name}`, values);
}

export function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));  // plain HTTP has no randomUUID
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
}

/* Whether two values say the same, whatever the order of their fields. */
export function same(one, other) {
  const sorted = (_, value) => (value?.constructor === Object ? Object.fromEntries(Object.entries(value).sort()) : value);
  return JSON.stringify(one, sorted) === JSON.stringify(other, sorted);
}

/* What became of a request: sent, offline (send it again), login, conflict or refused. */
export async function send(method, url, body, options = {}) {
  let response;
  try {
    const headers = { "Content-Type": "application/json", Accept: "application/json" };
    response = await fetch(url, { method, headers, body: JSON.stringify(body), redirect: "error", ...options });
  } catch {
    return { kind: "offline" };
  }
  const data = await response.json().catch(() => ({}));
  if (response.ok) return { kind: "sent", data };
  if (response.status === 401) return { kind: "login", data };
  if (response.status === 409 && data.theirs) return { kind: "conflict", data };
  if (response.status >= 500 || response.status === 429) return { kind: "offline", data };
  return { kind: "refused", data };
}

/* Drafts */
export const drafts = {
  read: (key) => JSON.parse(read(DRAFT + key)),
  keep: (key, draft) => write(DRAFT + key, JSON.stringify(draft)),
  drop: (key) => remove(DRAFT + key),
};

/* Submits */
export function pending() {
  const keys = names().filter((key) => key.startsWith(SUBMIT));
  return keys.map((key) => JSON.parse(read(key))).sort((a, b) => a.at.localeCompare(b.at));
}

export function keep(entry) {
  write(SUBMIT + entry.body.submission, JSON.stringify(entry));
}

export function drop(entry) {
  remove(SUBMIT + entry.body.submission);
  if (entry.key) drafts.drop(entry.key);
}

/* One tab sends at a time; the server stores each id once in any case. */
export async function sendAll() {
  if (!user || !pending().length) return showKept();
  if (navigator.locks) await navigator.locks.request("promedical-review-send", sendInOrder);
  else await sendInOrder();
  showKept();
}

async function sendInOrder() {
  for (const entry of pending()) {
    if (entry.state === "conflict" || entry.state === "refused") continue;
    const answer = await send("POST", entry.url, entry.body);
    if (answer.kind === "sent") {
      drop(entry);
      document.dispatchEvent(new CustomEvent("work-sent", { detail: { entry, data: answer.data } }));
    } else if (answer.kind === "offline" || answer.kind === "login") {
      show(answer.kind);
      return;
    } else {
      keep({ ...entry, state: answer.kind, message: answer.data.message, theirs: answer.data.theirs, current: answer.data.version });
      document.dispatchEvent(new CustomEvent("work-stuck", { detail: { id: entry.body.submission } }));
    }
  }
}

/* The list of what is kept, on every page. */
function showKept() {
  const place = document.getElementById("kept");
  const entries = pending();
  place.hidden = !entries.length;
  place.querySelector("ul").replaceChildren(...entries.map(line));
  if (!entries.length) {
    if (state.dataset.state === "kept" || state.dataset.state === "offline") show("saved");
  } else if (state.dataset.state !== "login") {
    const stuck = entries.find((each) => each.state);
    show(stuck ? stuck.state : navigator.onLine ? "kept" : "offline", { count: entries.length });
  }
}

function line(entry) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.href = entry.page;
  link.textContent = entry.title;
  item.append(link, ` – ${text(`js.kept_${entry.state ?? "waiting"}`)} ${entry.message ?? ""} `);
  if (entry.state === "refused") {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain";
    button.textContent = text("js.discard");
    button.addEventListener("click", () => {
      if (confirm(text("js.discard_sure"))) drop(entry);
      showKept();
    });
    item.append(button);
  }
  return item;
}

const isWork = (name) => name.startsWith(SUBMIT) || name.startsWith(DRAFT);

/* Nobody leaves unasked with work that only this browser has. What the server has does not stay here. */
export function readyToLeave() {
  return !names().some(isWork) || onlyHere().some(isWork) || confirm(text("js.leave_sure"));
}

if (user) {
  window.addEventListener("beforeunload", (event) => { if (onlyHere().some(isWork)) event.preventDefault(); });
  window.addEventListener("online", sendAll);
  window.addEventListener("offline", () => show("offline"));
  setInterval(() => { if (pending().length) sendAll(); }, AGAIN_MS);
  sendAll();
}
