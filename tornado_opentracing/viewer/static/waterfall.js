// SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
// SPDX-License-Identifier: Apache-2.0
// @ts-check
// The waterfall: a treegrid of rows, which are made when they are first seen.
import { drawBars, place } from "./bars.js";
import { draw, duration, make } from "./dom.js";

/** @typedef {import("./model.js").Item} Item */
/** @typedef {import("./bars.js").View} View */

/** So many of the first rows have their bars at once; others when they come near what is seen. */
const FIRST = 60;

export class Waterfall {
  /**
   * @param {HTMLElement} grid
   * @param {import("./model.js").Model} model
   * @param {View} view
   * @param {{chosen: (item: Item) => void, found: (text: string) => void}} tell
   */
  constructor(grid, model, view, tell) {
    this.grid = grid;
    this.body = /** @type {HTMLElement} */ (grid.querySelector("[role=rowgroup].body"));
    this.axis = /** @type {HTMLElement} */ (grid.querySelector(".axis .when"));
    this.bands = /** @type {HTMLElement} */ (grid.querySelector(".bands .when"));
    this.model = model;
    this.view = view;
    this.tell = tell;
    this.filter = "";
    /** What was opened or closed by hand, by key. @type {Map<string, boolean>} */
    this.opened = new Map();
    /** @type {Map<string, HTMLElement>} */
    this.rows = new Map();
    /** What each row is made of, so that it is made anew when that changes. @type {Map<string, string>} */
    this.made = new Map();
    /** @type {Item[]} */
    this.shown = [];
    /** @type {WeakMap<import("./model.js").Span, string>} */
    this.texts = new WeakMap();
    this.current = model.items[0]?.key ?? "";
    /** The rows near what is seen. @type {Set<Element>} */
    this.near = new Set();
    this.observer = new IntersectionObserver((entries) => this.looked(entries), { rootMargin: "500px" });
    this.refresh();
    this.drawTimes();
  }

  /** @param {IntersectionObserverEntry[]} entries */
  looked(entries) {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) this.near.delete(target);
      else if (!this.near.has(target)) {
        this.near.add(target);
        this.drawRow(/** @type {HTMLElement} */ (target));
      }
    }
  }

  /** @param {HTMLElement} row */
  drawRow(row) {
    const item = this.model.byKey.get(row.dataset.key ?? "");
    if (item) drawBars(/** @type {Element} */ (row.querySelector("svg")), item, this.view, this.model.trace.start_time);
  }

  /**
   * The same trace, with more of it.
   * @param {import("./model.js").Model} model
   * @param {View} view
   */
  update(model, view) {
    this.model = model;
    this.view = view;
    if (!model.byKey.has(this.current)) this.current = model.items[0]?.key ?? "";
    this.refresh();
    this.drawTimes();
  }

  /** @param {Item} item */
  isOpen(item) {
    return this.opened.get(item.key) ?? Boolean(item.span);
  }

  /** @param {import("./model.js").Span} span */
  text(span) {
    let text = this.texts.get(span);
    if (text === undefined) {
      text = JSON.stringify([span.label, span.service, span.span_id, span.tags, span.logs, span.baggage]).toLowerCase();
      this.texts.set(span, text);
    }
    return text;
  }

  /** @param {Item} item */
  isFound(item) {
    return item.spans.some((span) => this.text(span).includes(this.filter));
  }

  /** Show the rows that are to be shown. */
  refresh() {
    /** @type {Set<Item>} */
    const leading = new Set();
    let found = 0;
    if (this.filter) {
      for (const item of this.model.items) {
        if (!item.span || !this.isFound(item)) continue;
        found++;
        for (let up = /** @type {Item | null} */ (item); up && !leading.has(up); up = up.parent) leading.add(up);
      }
    }
    this.shown = [];
    const waiting = [...this.model.roots].reverse();
    for (let item = waiting.pop(); item; item = waiting.pop()) {
      if (this.filter && !leading.has(item)) continue;
      this.shown.push(item);
      if (!this.filter && !this.isOpen(item)) continue;
      for (let at = item.children.length - 1; at >= 0; at--) waiting.push(item.children[at]);
    }
    const rows = this.shown.map((item, at) => this.row(item, at));
    const hadFocus = this.body.contains(document.activeElement);
    this.body.replaceChildren(...rows);
    for (const row of rows.slice(0, FIRST)) {
      if (!this.near.has(row)) this.drawRow(row);
      this.near.add(row);
    }
    this.grid.setAttribute("aria-rowcount", String(rows.length + 1));
    this.tell.found(this.filter ? `${found} of ${this.model.spans.length}` : "");
    // The keyboard goes on at a row that is there: what the hidden one was folded into, or the first.
    const present = new Set(this.shown);
    let up = this.model.byKey.get(this.current) ?? null;
    while (up && !present.has(up)) up = up.parent;
    const next = up ?? this.shown[0];
    if (next) this.mark(next);
    if (next && hadFocus) this.rows.get(next.key)?.focus({ preventScroll: true });
  }

  /**
   * @param {Item} item
   * @param {number} at
   */
  row(item, at) {
    const { span } = item;
    const content = `${item.label}|${item.errors}|${item.isRunning}|${item.begin}|${item.end}|${span?.outcome}|${span?.logs.length}`;
    let row = this.rows.get(item.key);
    if (!row || this.made.get(item.key) !== content) {
      const made = this.fill(item);
      if (row) row.replaceChildren(...made.childNodes);
      else {
        this.rows.set(item.key, (row = made));
        this.observer.observe(row);
      }
      if (this.near.has(row)) this.drawRow(row);
      this.made.set(item.key, content);
    }
    const colour = item.spans[0].colour;
    row.className = `span c${colour}${item.errors ? " error" : ""}${item.isRunning ? " running" : ""}${span ? "" : " group"}`;
    if (item.key === this.current) row.classList.add("selected");
    if (this.filter && !(span && this.isFound(item))) row.classList.add("faded");
    set(row, {
      "aria-rowindex": at + 2,
      "aria-level": item.level,
      "aria-posinset": item.place,
      "aria-setsize": (item.parent?.children ?? this.model.roots).length,
      "aria-expanded": item.children.length ? String(Boolean(this.filter) || this.isOpen(item)) : null,
      "aria-selected": String(item.key === this.current),
    });
    return row;
  }

  /** @param {Item} item */
  fill(item) {
    const { span } = item;
    const row = /** @type {HTMLElement} */ (EMPTY.cloneNode(true));
    row.id = `s${item.key}`;
    row.dataset.key = item.key;
    row.dataset.number = String(item.number);
    const [name, ms] = /** @type {HTMLElement[]} */ ([...row.children]);
    name.style.setProperty("--depth", String(Math.min(item.level - 1, 20)));
    const [fold, operation, service] = name.children;
    fold.className = item.children.length ? "fold" : "leaf";
    if (item.errors) operation.append(make("span", "failed", span ? "✗ " : `✗ ${item.errors} `));
    operation.append(item.label);
    if (span?.outcome) service.before(make("span", "outcome", span.outcome), " ");
    service.textContent = item.spans[0].service;
    ms.textContent = duration(item.end - item.begin) + (item.isRunning ? "…" : "");
    return row;
  }

  /** Draw what depends on the part of the trace that is shown. */
  drawTimes() {
    for (const row of this.near) this.drawRow(/** @type {HTMLElement} */ (row));
    const { from, to } = this.view;
    this.axis.replaceChildren(...[0, 1, 2, 3, 4].map((part) => make("span", `tick t${part}`, tick(from, to, part / 4))));
    this.bands.replaceChildren(
      ...this.model.blocks.flatMap((block) => {
        const where = place(this.view, block.begin, block.end);
        if (!where) return [];
        const band = make("div", "band");
        band.style.left = where.x;
        band.style.width = where.width;
        band.title = `${block.says}: ${duration(block.end - block.begin)}`;
        return [band];
      }),
    );
  }

  /** @param {Item} item */
  mark(item) {
    const before = this.rows.get(this.current);
    before?.classList.remove("selected");
    if (before) set(before, { tabindex: -1, "aria-selected": "false" });
    this.current = item.key;
    const row = this.rows.get(item.key);
    row?.classList.add("selected");
    if (row) set(row, { tabindex: 0, "aria-selected": "true" });
    this.tell.chosen(item);
  }

  /** @param {Item} item */
  select(item) {
    for (let up = item.parent; up; up = up.parent) if (!this.isOpen(up)) this.opened.set(up.key, true);
    if (this.filter ? !this.shown.includes(item) : !this.rows.get(item.key)?.isConnected) this.refresh();
    this.mark(item);
    const row = this.rows.get(item.key);
    row?.focus({ preventScroll: true });
    row?.scrollIntoView({ block: "nearest" });
  }

  /**
   * @param {Item} item
   * @param {boolean} isOpening
   */
  fold(item, isOpening) {
    if (!item.children.length) return;
    this.opened.set(item.key, isOpening);
    this.refresh();
  }

  /** @param {boolean} isOpening */
  foldAll(isOpening) {
    for (const item of this.model.items) if (item.children.length) this.opened.set(item.key, isOpening || !item.parent);
    this.refresh();
  }

  /** @param {number} step */
  move(step) {
    if (!this.shown.length) return;
    const place = this.shown.findIndex((item) => item.key === this.current) + step;
    this.select(this.shown[Math.min(Math.max(place, 0), this.shown.length - 1)]);
  }

  get currentItem() {
    return this.model.byKey.get(this.current);
  }
}

/** A row with nothing in it yet. To copy one is quicker than to make it. */
const EMPTY = (() => {
  const name = make("div", "name", make("span"), make("span", "operation"), " ", make("span", "service"));
  const when = make("div", "when", draw("svg", { "aria-hidden": "true" }));
  const row = make("div", "", name, make("div", "ms"), when);
  for (const cell of row.children) cell.role = "gridcell";
  row.role = "row";
  row.tabIndex = -1;
  return row;
})();

/**
 * @param {number} from
 * @param {number} to
 * @param {number} part
 */
function tick(from, to, part) {
  const at = from + (to - from) * part;
  const longest = Math.abs(to) || 1;
  const [unit, name] = longest < 1 ? [1e-3, "us"] : longest < 10_000 ? [1, "ms"] : longest < 600_000 ? [1e3, "s"] : [6e4, "min"];
  // As many digits as tell the ticks from each other.
  const digits = Math.min(Math.max(Math.ceil(-Math.log10((to - from) / unit / 4 || 1)) + 1, 0), 6);
  const text = (at / unit).toFixed(digits);
  return (digits ? text.replace(/\.?0+$/, "") : text) + (part === 1 ? ` ${name}` : "");
}

/**
 * @param {HTMLElement} element
 * @param {Record<string, string | number | null>} attributes
 */
function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null) element.removeAttribute(name);
    else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
  }
}
