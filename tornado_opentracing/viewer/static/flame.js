// SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
// SPDX-License-Identifier: Apache-2.0
// @ts-check
// The flame view: what does the same is one box, as wide as it took time, on top of what it was done for.
import { duration, make } from "./dom.js";

/**
 * @typedef {{
 *   label: string, service: string, colour: number, total: number, own: number, count: number, errors: number,
 *   below: Map<string, Box>, key: string,
 * }} Box
 */

const ROW = 22;
/** What is narrower, as a part of the whole, is not drawn. */
const NARROWEST = 0.001;

/**
 * The boxes of a trace, the spans of one name beneath one box put together.
 * @param {import("./model.js").Span[]} spans
 * @returns {Box}
 */
export function merge(spans) {
  const top = box("all", "", 0, "");
  /** @type {Box[]} */
  const way = [];
  for (const span of spans) {
    const above = way[span.depth - 1] ?? top;
    const name = JSON.stringify([span.pattern, span.service]);
    let found = above.below.get(name);
    if (!found) above.below.set(name, (found = box(span.pattern || "(no name)", span.service, span.colour, `${above.key}${name}`)));
    found.total += span.duration_ms;
    found.own += span.self_ms;
    found.count++;
    found.errors += Number(span.is_error);
    way[span.depth] = found;
    way.length = span.depth + 1;
  }
  for (const root of top.below.values()) top.total += root.total;
  return top;
}

/**
 * @param {string} label
 * @param {string} service
 * @param {number} colour
 * @param {string} key
 * @returns {Box}
 */
function box(label, service, colour, key) {
  return { label, service, colour, total: 0, own: 0, count: 0, errors: 0, below: new Map(), key };
}

export class Flame {
  /** @param {HTMLElement} element */
  constructor(element) {
    this.element = element;
    this.chosen = "";
    element.addEventListener("click", (event) => {
      const made = /** @type {Element} */ (event.target).closest("button");
      if (made) this.choose(made.dataset.key ?? "");
    });
    element.addEventListener("keydown", (event) => this.pressed(event));
  }

  /** @param {import("./model.js").Span[]} spans */
  show(spans) {
    this.top = merge(spans);
    this.render();
  }

  /** @param {string} key */
  choose(key) {
    this.chosen = this.chosen === key ? "" : key;
    this.render();
    /** @type {HTMLElement | null} */ (this.element.querySelector(`[data-key="${CSS.escape(key)}"]`))?.focus();
  }

  render() {
    const { top } = this;
    if (!top) return;
    /** @type {HTMLElement[]} */
    const boxes = [];
    let deepest = 0;
    // Those that lead to the chosen one are as wide as that.
    const leads = (/** @type {Box} */ one) => this.chosen !== "" && this.chosen.startsWith(one.key);
    /** @type {[Box, number, number, number][]} */
    const waiting = [[top, 0, 1, 0]];
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      const [above, left, width, depth] = next;
      const children = [...above.below.values()].sort((a, b) => b.total - a.total);
      const onWay = children.filter(leads);
      // What ran side by side took more time together than what is above it.
      const whole = Math.max(above.total, children.reduce((sum, one) => sum + one.total, 0)) || 1;
      let x = left;
      for (const one of onWay.length && above.key !== this.chosen ? onWay : children) {
        const wide = onWay.length && above.key !== this.chosen ? width : (one.total / whole) * width;
        if (wide >= NARROWEST) {
          boxes.push(this.draw(one, x, wide, depth));
          deepest = Math.max(deepest, depth + 1);
          waiting.push([one, x, wide, depth + 1]);
        }
        x += wide;
      }
    }
    this.element.replaceChildren(...boxes);
    this.element.style.height = `${deepest * ROW}px`;
    const first = this.element.querySelector("button");
    if (first) first.tabIndex = 0;
  }

  /**
   * @param {Box} one
   * @param {number} left
   * @param {number} width
   * @param {number} depth
   */
  draw(one, left, width, depth) {
    const times = one.count > 1 ? ` x ${one.count}` : "";
    const made = make("button", `box c${one.colour}${one.errors ? " error" : ""}`, make("bdi", "", one.label), `${times} ${duration(one.total)}`);
    made.type = "button";
    made.tabIndex = -1;
    made.dataset.key = one.key;
    made.style.left = `${left * 100}%`;
    made.style.width = `${width * 100}%`;
    made.style.top = `${depth * ROW}px`;
    made.title = `${one.label}${times}\n${one.service}\n${duration(one.total)} in all, ${duration(one.own)} itself`;
    made.setAttribute("aria-pressed", String(this.chosen === one.key));
    return made;
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const boxes = [...this.element.querySelectorAll("button")];
    const at = boxes.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
    boxes[Math.min(Math.max(at + step, 0), boxes.length - 1)]?.focus();
  }
}
