// SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
// SPDX-License-Identifier: Apache-2.0
// @ts-check
// Which part of the trace is shown: chosen by dragging over the bars or the small map above them, or with keys.
import { draw, make } from "./dom.js";

/** Less of the trace than this is not shown, in milliseconds. */
const SMALLEST = 0.001;
/** What moves less, in pixels, is a click. */
const CLICK = 5;

export class Zoom {
  /**
   * @param {HTMLElement} map
   * @param {HTMLElement} grid
   * @param {import("./model.js").Model} model
   * @param {() => void} changed
   */
  constructor(map, grid, model, changed) {
    this.map = map;
    this.grid = grid;
    this.model = model;
    this.changed = changed;
    this.view = { from: 0, to: model.duration };
    this.window = make("div", "window");
    this.picture = draw("svg", { viewBox: "0 0 1000 60", preserveAspectRatio: "none", "aria-hidden": "true" });
    map.append(this.picture, this.window);
    this.paint();
    this.drag(map, () => ({ box: map.getBoundingClientRect(), from: 0, to: this.model.duration }), map);
    const axis = /** @type {HTMLElement} */ (grid.querySelector(".axis .when"));
    this.drag(grid, () => ({ box: axis.getBoundingClientRect(), ...this.view }), grid);
    map.addEventListener("dblclick", () => this.reset());
  }

  /** @param {import("./model.js").Model} model */
  update(model) {
    const wasWhole = this.isWhole;
    this.model = model;
    if (wasWhole) this.view = { from: 0, to: model.duration };
    this.paint();
  }

  get isWhole() {
    return this.view.from <= 0 && this.view.to >= this.model.duration;
  }

  /** The whole trace, small: each span a line, one path for each colour. */
  paint() {
    const { spans, duration, blocks } = this.model;
    const height = Math.min(Math.max(60 / spans.length, 0.6), 6);
    /** @type {string[]} */
    const lines = [];
    let failed = "";
    spans.forEach((span, number) => {
      const y = (number / spans.length) * 60;
      const left = (span.offset_ms / duration) * 1000;
      const width = Math.max((span.duration_ms / duration) * 1000, 1);
      const line = `M${left.toFixed(1)} ${y.toFixed(1)}h${width.toFixed(1)}v${height.toFixed(1)}h-${width.toFixed(1)}z`;
      if (span.is_error) failed += line;
      else lines[span.colour] = (lines[span.colour] ?? "") + line;
    });
    this.picture.replaceChildren(
      ...blocks.map(({ begin, end }) =>
        draw("rect", { class: "blocked", x: (begin / duration) * 1000, width: ((end - begin) / duration) * 1000, y: 0, height: 60 }),
      ),
      ...lines.map((path, colour) => draw("path", { class: `c${colour}`, d: path })),
      draw("path", { class: "failed", d: failed }),
    );
    this.mark();
  }

  mark() {
    const { from, to } = this.view;
    this.window.style.left = `${(from / this.model.duration) * 100}%`;
    this.window.style.width = `${((to - from) / this.model.duration) * 100}%`;
    this.map.classList.toggle("whole", this.isWhole);
    document.body.classList.toggle("zoomed", !this.isWhole);
  }

  /**
   * @param {number} from
   * @param {number} to
   */
  show(from, to) {
    const { duration } = this.model;
    const length = Math.min(Math.max(to - from, Math.min(SMALLEST, duration)), duration);
    const begin = Math.min(Math.max(from, 0), duration - length);
    this.view = { from: begin, to: begin + length };
    this.mark();
    this.changed();
  }

  reset() {
    this.show(0, this.model.duration);
  }

  /** @param {number} factor */
  by(factor) {
    const { from, to } = this.view;
    const [middle, half] = [(from + to) / 2, ((to - from) / 2) * factor];
    this.show(middle - half, middle + half);
  }

  /** @param {number} part of what is shown. */
  pan(part) {
    const { from, to } = this.view;
    const step = (to - from) * part;
    this.show(from + step, to + step);
  }

  /**
   * Zoom to what is dragged over.
   * @param {HTMLElement} element
   * @param {() => {box: DOMRect, from: number, to: number}} scale
   * @param {HTMLElement} holder of the frame that shows what is dragged over.
   */
  drag(element, scale, holder) {
    const frame = make("div", "dragged");
    frame.setAttribute("aria-hidden", "true");
    /** @type {{x: number, box: DOMRect, from: number, to: number} | null} */
    let start = null;
    element.addEventListener("pointerdown", (event) => {
      const found = scale();
      const isInside = event.clientX >= found.box.left && event.clientX <= found.box.right;
      if (event.button || !isInside || (element === this.grid && event.pointerType === "touch")) return;
      start = { x: event.clientX, ...found };
    });
    element.addEventListener("pointermove", (event) => {
      if (!start || Math.abs(event.clientX - start.x) < CLICK) return;
      if (!frame.isConnected) {
        holder.append(frame);
        element.setPointerCapture(event.pointerId);
        document.getSelection()?.removeAllRanges();
      }
      const outer = holder.getBoundingClientRect();
      const [left, right] = [start.x, event.clientX].sort((a, b) => a - b).map((x) => clamp(x, start?.box));
      frame.style.left = `${left - outer.left}px`;
      frame.style.width = `${right - left}px`;
    });
    const end = (/** @type {PointerEvent} */ event) => {
      const begun = start;
      start = null;
      if (!begun || !frame.isConnected) return;
      frame.remove();
      if (event.type === "pointercancel") return;
      const time = (/** @type {number} */ x) =>
        begun.from + ((clamp(x, begun.box) - begun.box.left) / begun.box.width) * (begun.to - begun.from);
      const [from, to] = [time(begun.x), time(event.clientX)].sort((a, b) => a - b);
      this.show(from, to);
    };
    element.addEventListener("pointerup", end);
    element.addEventListener("pointercancel", end);
  }
}

/**
 * @param {number} x
 * @param {DOMRect | undefined} box
 */
function clamp(x, box) {
  return box ? Math.min(Math.max(x, box.left), box.right) : x;
}
