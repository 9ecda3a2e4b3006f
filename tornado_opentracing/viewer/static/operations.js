// SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
// SPDX-License-Identifier: Apache-2.0
// @ts-check
// Where the time goes: a table of operations, sorted by whatever column one likes.
import { byId, draw, duration, make, readData } from "./dom.js";

/**
 * @typedef {{
 *   service: string, operation: string, count: number, errors: number, p50_ms: number, p95_ms: number, p99_ms: number,
 *   total_ms: number, self_ms: number, spark: number[],
 * }} Operation
 */

const body = byId("operations");
/** @type {Operation[]} */
const found = readData().operations;
const most = Math.max(...found.map((one) => one.self_ms), 1e-9);
let sorted = "self_ms";
let isDescending = true;

/** @param {Operation} one */
function row(one) {
  const link = make("a", "", make("bdi", "", one.operation || "(no name)"));
  const service = one.service ? ` service:"${one.service.replaceAll('"', "")}"` : "";
  const search = `operation:"${one.operation.replaceAll('"', "")}"${service}`;
  link.href = `${body.dataset.prefix}?${new URLSearchParams({ q: search, sort: "-duration" })}`;
  const number = (/** @type {string} */ text, className = "") => make("td", `number ${className}`, text);
  const share = make("span", "share");
  share.style.width = `${(one.self_ms / most) * 100}%`;
  const self = number(duration(one.self_ms), "self");
  self.append(share);
  const made = make(
    "tr",
    one.errors ? "error" : "",
    make("td", "operation", make("div", "clamp", link, " ", make("bdi", "path", one.service))),
    number(one.count.toLocaleString("en"), "count"),
    number(one.errors ? `✗ ${one.errors}` : "", "errors failed"),
    ...[one.p50_ms, one.p95_ms, one.p99_ms, one.total_ms].map((ms) => number(duration(ms))),
    self,
    make("td", "spark", spark(one.spark)),
  );
  const labels = ["", "calls", "failed", "p50", "p95", "p99", "total", "self", "calls over time"];
  [...made.children].forEach((cell, at) => labels[at] && cell.setAttribute("data-label", labels[at]));
  return made;
}

/** How many there were, from the first to the last. */
function spark(/** @type {number[]} */ counts) {
  const highest = Math.max(...counts, 1);
  const made = draw("svg", { viewBox: `0 0 ${counts.length * 4} 20`, role: "img", "aria-label": `calls over time: ${counts.join(" ")}` });
  counts.forEach((number, at) => {
    const height = number ? Math.max((number / highest) * 19, 2) : 0;
    made.append(draw("rect", { x: at * 4, y: 20 - height, width: 3, height }));
  });
  return made;
}

function show() {
  const name = /** @type {keyof Operation} */ (sorted);
  const ordered = [...found].sort((a, b) => (a[name] < b[name] ? -1 : a[name] > b[name] ? 1 : 0) * (isDescending ? -1 : 1));
  body.replaceChildren(...ordered.map(row));
  if (!found.length) {
    const cell = make("td", "", "No spans are finished yet.");
    cell.colSpan = 9;
    body.append(make("tr", "nothing", cell));
  }
  for (const head of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("th[data-sort]"))) {
    if (head.dataset.sort === sorted) head.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
}

for (const head of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("th[data-sort]"))) {
  head.querySelector("button")?.addEventListener("click", () => {
    const name = head.dataset.sort ?? "";
    isDescending = sorted === name ? !isDescending : name !== "operation";
    sorted = name;
    show();
  });
}
body.addEventListener("click", (event) => {
  const target = /** @type {Element} */ (event.target);
  const link = target.closest("tr")?.querySelector("a");
  if (link && !target.closest("a") && document.getSelection()?.isCollapsed !== false) location.assign(link.href);
});
show();
