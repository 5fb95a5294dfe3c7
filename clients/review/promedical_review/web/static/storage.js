/* What this browser keeps. What its storage does not take, because it is full or switched off, this page keeps for as
   long as it is open, and says so. */
import { text } from "./texts.js";

const PROBE = "promedical-review:probe";
const here = new Map();

export function read(name) {
  if (here.has(name)) return here.get(name);
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

export function write(name, value) {
  try {
    localStorage.setItem(name, value);
    here.delete(name);
  } catch {
    here.set(name, value);
    warn();
  }
}

export function remove(name) {
  here.delete(name);
  try {
    localStorage.removeItem(name);
  } catch { /* then it never held anything */ }
}

export function names() {
  let stored = [];
  try {
    stored = Object.keys(localStorage);
  } catch { /* as above */ }
  return [...new Set([...stored, ...here.keys()])];
}

/* What is gone when this page is closed. */
export function onlyHere() {
  return [...here.keys()];
}

function warn() {
  const place = document.getElementById("unkept");
  if (!place?.hidden) return;
  place.textContent = text("js.unkept");
  place.hidden = false;
}

write(PROBE, "1");
remove(PROBE);
