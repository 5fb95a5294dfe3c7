/* One piece of work on a page: its draft is saved as it changes, and it is submitted once. */
import { drafts, drop, keep, newId, pending, same, send, sendAll, show } from "./queue.js";
import { text } from "./texts.js";

const QUIET_MS = 700;
const AGAIN_MS = 10_000;
const BEAT_MS = 60_000;

export class Work {
  #timer = 0;
  #sending = null;
  #closed = false;

  constructor(element, { collect, restore }) {
    this.data = element.dataset;
    this.version = Number(this.data.version);  // of the work that is submitted
    this.draftVersion = Number(this.data.draftVersion);
    this.collect = collect;
    this.restore = restore;
    this.#open();
    document.addEventListener("work-sent", ({ detail }) => this.#sent(detail));
    document.addEventListener("work-stuck", ({ detail }) => this.#stuck(detail.id));
    window.addEventListener("online", () => this.#saveUnsent());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden" && this.#timer) this.save({ keepalive: true });
    });
    setInterval(() => this.#beat(), BEAT_MS);
  }

  /* Something changed: keep it here at once, and on the server after a moment of quiet. */
  edited() {
    if (this.#closed) return;
    this.#keepDraft();
    show(navigator.onLine ? "saving" : "offline");
    this.#later(QUIET_MS);
  }

  #keepDraft() {
    drafts.keep(this.data.key, { version: this.draftVersion, body: this.collect() });
  }

  #later(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.save(), ms);
  }

  async save(options) {
    clearTimeout(this.#timer);
    this.#timer = 0;
    if (this.#closed) return;
    if (this.#sending) await this.#sending;
    const draft = drafts.read(this.data.key);
    if (!draft) return;
    this.#sending = this.#sendDraft(draft, options);
    await this.#sending;
    this.#sending = null;
  }

  async #sendDraft(draft, options) {
    const answer = await send("PUT", this.data.draft, { version: this.draftVersion, ...draft.body }, options);
    if (answer.kind === "sent") {
      this.draftVersion = answer.data.version;
      const now = drafts.read(this.data.key);
      if (now && same(now.body, draft.body)) drafts.drop(this.data.key);
      show("saved");
    } else if (answer.kind === "conflict") {
      this.#choose(draft.body, answer.data.theirs, () => {
        this.draftVersion = answer.data.version;
        this.#keepDraft();
        return this.save();
      }, () => { this.draftVersion = answer.data.version; });
    } else {
      show(answer.kind, { message: answer.data?.message });
      if (answer.kind === "refused") this.#say(answer.data.message);
      if (answer.kind === "offline") this.#later(AGAIN_MS);
    }
  }

  /* Submit: kept here first, so that no crash and no network can lose it. */
  async submit(fields) {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#timer = 0;
    if (this.#sending) await this.#sending;
    if (document.querySelector("dialog.conflict[open]")) {  // the draft met another version: that comes first
      this.#closed = false;
      return;
    }
    const body = { submission: newId(), version: this.version, ...this.collect(), ...fields };
    keep({
      body, key: this.data.key, url: this.data.submit, page: location.pathname, title: this.data.title,
      at: new Date().toISOString(),
    });
    await sendAll();
    if (pending().some((each) => each.body.submission === body.submission && !each.state)) this.#say(text("js.submit_kept"));
  }

  #sent({ entry, data }) {
    if (entry.key === this.data.key) location.assign(data.next);
  }

  #stuck(id) {
    const entry = pending().find((each) => each.body.submission === id);
    if (entry?.key !== this.data.key) return;
    if (entry.state === "conflict") {
      this.#choose(entry.body, entry.theirs, () => {
        this.version = entry.current;
        this.#closed = true;
        keep({ ...entry, state: undefined, message: undefined, body: { ...entry.body, version: this.version } });
        return sendAll();
      }, () => {
        this.version = entry.current;
        drop(entry);
      });
      return;
    }
    drop(entry);
    this.#keepDraft();
    this.#closed = false;
    show("refused", { message: entry.message });
    this.#say(entry.message);
  }

  /* What this browser has and the server has not, after a reload or a time without network. */
  #open() {
    const kept = pending().find((each) => each.key === this.data.key);
    if (kept) {
      if (kept.body.criteria?.length !== 0) this.restore(kept.body);  // a rejection brings no criteria
      this.#closed = true;
      this.#say(text("js.submit_kept"));
      if (kept.state) this.#stuck(kept.body.submission);
      return;
    }
    const draft = drafts.read(this.data.key);
    if (!draft) return;
    this.restore(draft.body);
    const theirs = JSON.parse(document.getElementById("saved").textContent);
    if (draft.version < this.draftVersion && !same(theirs, draft.body)) {
      this.#choose(draft.body, theirs, () => this.save(), () => {});
    } else {
      this.save();
    }
  }

  #saveUnsent() {
    if (drafts.read(this.data.key)) this.save();
  }

  /* Two versions of one piece of work: both are shown, and the user takes one. */
  #choose(mine, theirs, keepMine, takeTheirs) {
    const dialog = document.getElementById("conflict");
    show("conflict");
    dialog.querySelector("[data-mine]").textContent = readable(mine);
    dialog.querySelector("[data-theirs]").textContent = readable(theirs);
    const settle = (action) => () => {
      this.#closed = false;
      dialog.close();
      action();
    };
    dialog.querySelector("[data-keep]").onclick = settle(keepMine);
    dialog.querySelector("[data-take]").onclick = settle(() => {
      takeTheirs();
      drafts.drop(this.data.key);
      this.restore(theirs);
      show("saved");
    });
    if (!dialog.open) dialog.showModal();
  }

  #say(message) {
    const place = document.getElementById("say");
    place.textContent = message;
    place.hidden = !message;
    if (message) place.scrollIntoView({ block: "nearest" });
  }

  /* The lease is renewed while somebody works; a page that is only open does not hold an item for ever. */
  #beat() {
    if (!this.#closed && document.visibilityState === "visible" && this.data.beat) send("POST", this.data.beat, {});
  }
}

const SHOWN = ["text", "verdict", "reason", "rationale", "dimension", "polarity", "weight", "citation"];

function readable(body) {
  const lines = (body.criteria ?? body.verdicts ?? []).map((each, at) => {
    const values = SHOWN.map((name) => each[name] ?? "").filter((value) => value !== "");
    return `${at + 1}. ${values.map(word).join(" · ")}`;
  });
  return [...lines, body.note ?? ""].join("\n").trim();
}

/* A value as the page calls it. */
function word(value) {
  if (!/^[a-z_]+$/.test(value)) return value;
  const option = document.querySelector(`main option[value="${value}"]`);
  if (option) return option.textContent;
  const label = document.querySelector(`main input[type=radio][value="${value}"]`)?.closest("label");
  return label ? [...label.childNodes].filter((each) => each.nodeType === Node.TEXT_NODE).map((each) => each.data).join("").trim() : value;
}
