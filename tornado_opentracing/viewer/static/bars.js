// SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
// SPDX-License-Identifier: Apache-2.0
// @ts-check
// What a row shows of time: bars, the critical path, the wait for the first byte, and marks for logs and errors.
import { draw } from "./dom.js";
import { firstByte } from "./model.js";

/**
 * The part of the trace that is shown, in milliseconds from its beginning.
 * @typedef {{from: number, to: number}} View
 */

/** Marks beyond so many in one row tell no more than these. */
const MOST_MARKS = 60;

/**
 * Where something is within what is shown, as percentages; null where it is not.
 * @param {View} view
 * @param {number} begin
 * @param {number} end
 * @returns {{x: string, width: string} | null}
 */
export function place(view, begin, end) {
  const length = Math.max(view.to - view.from, 1e-6);
  const [left, right] = [((begin - view.from) / length) * 100, ((end - view.from) / length) * 100];
  if (right < 0 || left > 100) return null;
  const [x, stop] = [Math.max(left, 0), Math.min(right, 100)];
  return { x: `${x.toFixed(3)}%`, width: `${(stop - x).toFixed(3)}%` };
}

/**
 * Draw a row's bars anew.
 * @param {Element} svg
 * @param {import("./model.js").Item} item
 * @param {View} view
 * @param {number} traceBegin in seconds since the epoch.
 */
export function drawBars(svg, item, view, traceBegin) {
  svg.replaceChildren();
  if (!item.span) {
    drawTogether(svg, item.spans, view);
    return;
  }
  const { span } = item;
  /** @param {string} className @param {number} begin @param {number} end @param {Record<string, number>} sizes */
  const add = (className, begin, end, sizes) => {
    const where = place(view, begin, end);
    if (where) svg.append(draw("rect", { class: className, ...where, ...sizes }));
  };
  const [begin, end] = [span.offset_ms, span.offset_ms + span.duration_ms];
  add("bar", begin, end, { y: 5, height: 10, rx: 2 });
  const first = firstByte(span);
  if (first) add("received", begin + first, end, { y: 5, height: 10 });
  for (const [from, to] of span.critical) add("path", from, to, { y: 17, height: 3 });
  addMarks(svg, span, view, traceBegin);
}

/**
 * Draw what is repeated in one row: one element for all that look the same, for there may be thousands.
 * @param {Element} svg
 * @param {import("./model.js").Span[]} spans
 * @param {View} view
 */
function drawTogether(svg, spans, view) {
  const lines = { "bar one": "", "bar one failed": "", path: "" };
  /** @param {keyof typeof lines} className @param {number} begin @param {number} end @param {number} y @param {number} height */
  const add = (className, begin, end, y, height) => {
    const where = place(view, begin, end);
    if (where) lines[className] += `M${parseFloat(where.x)} ${y}h${parseFloat(where.width)}v${height}h-${parseFloat(where.width)}z`;
  };
  for (const span of spans) {
    add(span.is_error ? "bar one failed" : "bar one", span.offset_ms, span.offset_ms + span.duration_ms, 5, 10);
    for (const [from, to] of span.critical) add("path", from, to, 17, 3);
  }
  const stretched = draw("svg", { viewBox: "0 0 100 24", preserveAspectRatio: "none" });
  for (const [className, d] of Object.entries(lines)) if (d) stretched.append(draw("path", { class: className, d }));
  svg.append(stretched);
}

/**
 * @param {Element} svg
 * @param {import("./model.js").Span} span
 * @param {View} view
 * @param {number} traceBegin
 */
function addMarks(svg, span, view, traceBegin) {
  for (const log of span.logs.slice(0, MOST_MARKS)) {
    const at = (log.timestamp - traceBegin) * 1000;
    const where = place(view, at, at);
    if (!where) continue;
    const { event } = log.fields;
    const isError = event === "error" || event === "exception" || "error.object" in log.fields || "error.kind" in log.fields;
    svg.append(draw("circle", { class: `mark${isError ? " failed" : ""}`, cx: where.x, cy: 10, r: isError ? 4 : 3 }));
  }
}
