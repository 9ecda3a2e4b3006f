// SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
// SPDX-License-Identifier: Apache-2.0
// @ts-check
// The rows of the list. Each is there once, and they stay where they are while somebody is busy with them.
import { count, duration, make, soFar } from "./dom.js";

/**
 * @typedef {{
 *   trace_id: string, begin: number, time: string, operation: string, path: string, status: string, duration_ms: number,
 *   spans: number, dropped: number, errors: number, is_open: boolean, services: string[], has_left: boolean,
 * }} Summary
 * @typedef {{
 *   now: number, total: number, page: number, pages: number, not_understood: string[], order: string[],
 *   rows: Record<string, Summary>,
 * }} Listing
 */

export class Rows {
  /**
   * @param {HTMLElement} body
   * @param {string} prefix the path of the list.
   * @param {(held: number) => void} tellHeld how many rows wait to be shown.
   */
  constructor(body, prefix, tellHeld) {
    this.body = body;
    this.prefix = prefix;
    this.tellHeld = tellHeld;
    this.isPaused = false;
    /** @type {string[]} */
    this.order = [];
    /** @type {string[]} */
    this.shown = [];
    /** @type {Map<string, Summary>} */
    this.summaries = new Map();
    /** @type {Map<string, HTMLElement>} */
    this.rows = new Map();
    /** How far the server's clock is ahead of the browser's, in seconds. */
    this.ahead = 0;
    body.addEventListener("click", (event) => this.follow(event));
    body.addEventListener("auxclick", (event) => this.follow(event));
    // Whatever held them may be over.
    for (const name of ["pointerout", "focusout"]) body.addEventListener(name, () => setTimeout(() => this.settle(), 0));
    for (const name of ["selectionchange", "scroll"]) document.addEventListener(name, () => this.settle());
    setInterval(() => this.tick(), 1000);
  }

  /**
   * What the server says of the list.
   * @param {Listing} listing
   * @param {boolean} [isOther] whether something else was asked for than is shown.
   */
  take(listing, isOther = false) {
    this.ahead = listing.now - Date.now() / 1000;
    for (const [id, summary] of Object.entries(listing.rows)) {
      this.summaries.set(id, summary);
      const row = this.rows.get(id);
      if (row) this.fill(row, summary);
    }
    this.order = listing.order;
    this.settle(isOther);
  }

  /** Whether somebody points at a row, has the keyboard on one, has text selected in one, or has scrolled down. */
  isHeld() {
    const selection = document.getSelection();
    return (
      this.isPaused ||
      scrollY > 0 ||
      this.body.contains(document.activeElement) ||
      (this.body.matches(":hover") && matchMedia("(hover: hover)").matches) ||
      Boolean(selection && !selection.isCollapsed && selection.containsNode(this.body, true))
    );
  }

  /**
   * Show the rows in their order, unless they are held.
   * @param {boolean} [isForced]
   */
  settle(isForced = false) {
    const known = new Set(this.shown);
    const waiting = this.order.filter((id) => !known.has(id)).length;
    const isSame = this.order.length === this.shown.length && this.order.every((id, at) => id === this.shown[at]);
    if (!isForced && this.shown.length && this.isHeld()) {
      const listed = new Set(this.order);
      for (const id of this.shown) this.rows.get(id)?.classList.toggle("gone", !listed.has(id));
      this.tellHeld(waiting);
      return;
    }
    this.tellHeld(0);
    if (isSame && !isForced) return;
    this.arrange();
  }

  arrange() {
    this.shown = [...this.order];
    const listed = new Set(this.order);
    for (const id of this.rows.keys()) {
      if (!listed.has(id)) this.rows.delete(id);
    }
    for (const id of this.summaries.keys()) {
      if (!listed.has(id)) this.summaries.delete(id);
    }
    const wanted = this.order.map((id) => this.row(id));
    const keep = new Set(wanted);
    for (const child of Array.from(this.body.children)) {
      if (!keep.has(/** @type {HTMLElement} */ (child))) child.remove();
    }
    // Only what is out of place is moved: what is moved loses the keyboard.
    let next = this.body.firstElementChild;
    for (const row of wanted) {
      if (row === next) next = next.nextElementSibling;
      else this.body.insertBefore(row, next);
    }
    if (!wanted.length) {
      const cell = make("td", "", "No traces here. They appear as requests come in.");
      cell.colSpan = 7;
      this.body.append(make("tr", "nothing", cell));
    }
  }

  /** @param {string} id */
  row(id) {
    let row = this.rows.get(id);
    if (!row) {
      row = make("tr");
      row.dataset.id = id;
      this.rows.set(id, row);
      const summary = this.summaries.get(id);
      if (summary) this.fill(row, summary);
    }
    row.classList.remove("gone");
    return row;
  }

  /**
   * @param {HTMLElement} row
   * @param {Summary} summary
   */
  fill(row, summary) {
    const { status, errors, spans } = summary;
    row.className = errors ? "error" : "";
    let link = row.querySelector("a");
    if (!link) {
      link = make("a");
      link.href = `${this.prefix}/${summary.trace_id}`;
      link.draggable = false;
      const operation = make("td", "operation", make("div", "clamp", link, " ", make("bdi", "path")));
      const names = ["status", "number duration", "number spans", "number errors", "services"];
      row.append(make("td", "time", make("time")), operation, ...names.map((name) => make("td", name)));
    }
    const [time, , state, took, many, failed, services] = /** @type {HTMLElement[]} */ ([...row.children]);
    put(/** @type {HTMLElement} */ (time.firstChild), summary.time);
    put(link, summary.operation || "(no name)");
    put(/** @type {HTMLElement} */ (row.querySelector(".path")), summary.path);
    if (status) state.replaceChildren(make("bdi", `badge s${/^[1-5]/.exec(status)?.[0] ?? ""}`, status));
    else if (summary.has_left) state.replaceChildren(make("span", "badge left", "client left"));
    else state.replaceChildren(...(summary.is_open ? [make("span", "badge running", "running")] : []));
    took.dataset.begin = summary.is_open ? String(summary.begin) : "";
    put(took, summary.is_open ? this.since(summary.begin) : duration(summary.duration_ms));
    took.classList.toggle("open", summary.is_open);
    many.replaceChildren(String(spans), make("span", "unit", ` span${spans === 1 ? "" : "s"}`));
    if (summary.dropped) many.append(" ", make("span", "dropped", `+${summary.dropped} dropped`));
    failed.replaceChildren(...(errors ? [make("span", "failed", `✗ ${errors}`), make("span", "offscreen", " failed")] : []));
    services.replaceChildren(make("div", "clamp", ...summary.services.flatMap((name, at) => [at ? ", " : "", make("bdi", "", name)])));
    row.title = summary.dropped ? `${count(summary.dropped, "span")} more dropped` : "";
  }

  /** @param {number} begin */
  since(begin) {
    return `${soFar((Date.now() / 1000 + this.ahead - begin) * 1000)}…`;
  }

  tick() {
    for (const cell of /** @type {NodeListOf<HTMLElement>} */ (this.body.querySelectorAll("td.open"))) {
      put(cell, this.since(Number(cell.dataset.begin)));
    }
  }

  /**
   * The whole row leads to the trace, and as a link does: with a key or the middle button, in a new tab.
   * @param {MouseEvent} event
   */
  follow(event) {
    const target = /** @type {Element} */ (event.target);
    const link = target.closest("tr")?.querySelector("a");
    if (!link || target.closest("a") || document.getSelection()?.isCollapsed === false) return;
    if (event.type === "auxclick" && event.button !== 1) return;
    if (event.button === 1 || event.ctrlKey || event.metaKey || event.shiftKey) window.open(link.href, "_blank", "noopener");
    else location.assign(link.href);
  }
}

/**
 * @param {HTMLElement} element
 * @param {string} text
 */
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
