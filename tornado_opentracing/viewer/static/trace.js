// SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
// SPDX-License-Identifier: Apache-2.0
// @ts-check
// One trace: its head, its views, and the keys.
import { byId, count, duration, input, listen, make, soFar } from "./dom.js";
import { compare, offer } from "./compare.js";
import { Flame } from "./flame.js";
import { watchKeys } from "./keys.js";
import { Model } from "./model.js";
import { explain } from "./panel.js";
import { Waterfall } from "./waterfall.js";
import { Zoom } from "./zoom.js";

const grid = byId("waterfall");
const panel = byId("detail");
const prefix = grid.dataset.prefix ?? "";
let model = new Model(await fetchTrace());
const zoom = new Zoom(byId("map"), grid, model, () => {
  waterfall.view = zoom.view;
  waterfall.drawTimes();
});
const waterfall = new Waterfall(grid, model, zoom.view, { chosen, found: (text) => (byId("matches").textContent = text) });
const flame = new Flame(byId("flame"));

/** What the panel shows. */
let explained = "";

/**
 * What the page shows, which the browser has asked for since it read the page's head.
 * @returns {Promise<import("./model.js").Trace>}
 */
async function fetchTrace() {
  const response = await fetch(/** @type {HTMLLinkElement} */ (byId("data")).href);
  if (!response.ok) {
    byId("facts").textContent = "This trace is no longer there.";
    throw new Error(`the trace could not be had: ${response.status}`);
  }
  return response.json();
}

/** @param {import("./model.js").Item} item */
function chosen(item) {
  if (panel.hidden) return;
  const content = JSON.stringify([item.key, item.spans.length, item.isRunning, item.span?.logs.length]);
  if (content === explained) return;
  explained = content;
  explain(panel, item, model, { close, open: (span) => openSpan(span.span_id) });
  if (item.span) history.replaceState(null, "", `#${item.span.span_id}`);
}

/** @param {import("./model.js").Item | undefined} item */
function open(item) {
  if (!item) return;
  panel.hidden = false;
  explained = "";
  waterfall.select(item);
  panel.scrollTop = 0;
}

/** @param {string} id */
function openSpan(id) {
  const item = model.byKey.get(id);
  if (!item) return;
  view("waterfall");
  if (waterfall.filter && !waterfall.isFound(item)) clearFilter();
  open(item);
}

function close() {
  if (!panel.hidden) history.replaceState(null, "", location.pathname + location.search);
  panel.hidden = true;
  waterfall.rows.get(waterfall.current)?.focus({ preventScroll: true });
}

function clearFilter() {
  input("filter").value = "";
  waterfall.filter = "";
  waterfall.refresh();
}

function nextError() {
  const failed = model.items.filter((item) => item.span?.is_error);
  if (!failed.length) return;
  const at = model.items.findIndex((item) => item.key === waterfall.current);
  const next = failed.find((item) => model.items.indexOf(item) > at) ?? failed[0];
  view("waterfall");
  if (waterfall.filter && !waterfall.isFound(next)) clearFilter();
  waterfall.select(next);
}

/** @param {string} name of the view that is shown. */
function view(name) {
  for (const tab of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#views button"))) {
    const isThis = tab.dataset.view === name;
    tab.setAttribute("aria-pressed", String(isThis));
    byId(`view-${tab.dataset.view}`).hidden = !isThis;
  }
  byId("tools").hidden = name !== "waterfall";
  if (name === "flame") flame.show(model.spans);
  if (name === "compare") void startComparison();
}

async function startComparison() {
  const select = /** @type {HTMLSelectElement} */ (byId("other"));
  if (!select.value) await offer(select, prefix, model.trace.summary);
  if (!select.disabled) await showComparison(select.value);
}

/** @param {string} id */
async function showComparison(id) {
  const response = await fetch(`${prefix}/${id}.json`);
  if (!response.ok) return;
  /** @type {HTMLAnchorElement} */ (byId("to-other")).href = `${prefix}/${id}`;
  compare(byId("differences"), model.spans, (await response.json()).spans);
}

/** Seconds that the server's clock is ahead of the browser's, as far as a running trace tells. */
let ahead = 0;

function showHead() {
  const { summary } = model.trace;
  const facts = byId("facts");
  const files = facts.querySelector(".files");
  const status = /^[1-5]/.exec(summary.status)?.[0] ?? "";
  const services = new Map(model.spans.map((span) => [span.service, span.colour]));
  facts.replaceChildren(
    ...(summary.status ? [make("bdi", `badge s${status}`, summary.status)] : []),
    ...(summary.has_left ? [make("span", "badge left", "client left")] : []),
    ...(summary.is_open ? [make("span", "badge running", "")] : [make("span", "", duration(model.duration))]),
    make("span", "", count(summary.spans, "span")),
    ...(summary.dropped ? [make("span", "dropped", `${summary.dropped} more dropped`)] : []),
    ...(summary.errors ? [make("span", "failed", `✗ ${summary.errors} failed`)] : []),
    ...(model.blocks.length ? [make("span", "blocked", `loop blocked x ${model.blocks.length}`)] : []),
    make("span", "", `began ${summary.time}`),
    ...[...services].filter(([name]) => name).sort().map(([name, colour]) => make("span", `service c${colour}`, make("i"), name)),
    ...(files ? [files] : []),
  );
  byId("next-error").hidden = !summary.errors;
  byId("received").hidden = !model.spans.some((span) => "http.response.first_byte_ms" in span.tags);
  tick();
}

function tick() {
  const running = document.querySelector("#facts .running");
  const { start_time } = model.trace;
  if (running) running.textContent = `running ${soFar((Date.now() / 1000 + ahead - start_time) * 1000)}`;
}

/** @param {import("./model.js").Trace} trace */
function update(trace) {
  model = new Model(trace);
  if (trace.summary.is_open) ahead = trace.start_time + trace.duration_ms / 1000 - Date.now() / 1000;
  zoom.update(model);
  waterfall.update(model, zoom.view);
  if (!byId("view-flame").hidden) flame.show(model.spans);
  showHead();
}

function followAddress() {
  if (location.hash.length > 1) openSpan(location.hash.slice(1));
}

for (const tab of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#views button"))) {
  tab.addEventListener("click", () => view(tab.dataset.view ?? ""));
}
for (const [id, act] of /** @type {[string, () => void][]} */ ([
  ["collapse", () => waterfall.foldAll(false)],
  ["expand", () => waterfall.foldAll(true)],
  ["next-error", nextError],
  ["zoom-in", () => zoom.by(0.5)],
  ["zoom-out", () => zoom.by(2)],
  ["zoom-all", () => zoom.reset()],
])) {
  byId(id).addEventListener("click", act);
}
byId("other").addEventListener("change", (event) => void showComparison(/** @type {HTMLSelectElement} */ (event.target).value));
byId("critical").addEventListener("change", () => grid.classList.toggle("show-critical", input("critical").checked));
byId("filter").addEventListener("input", () => {
  waterfall.filter = input("filter").value.trim().toLowerCase();
  waterfall.refresh();
});
grid.addEventListener("click", (event) => {
  const target = /** @type {Element} */ (event.target);
  const row = /** @type {HTMLElement | null} */ (target.closest(".span"));
  const item = model.byKey.get(row?.dataset.key ?? "");
  if (!item) return;
  if (target.closest(".fold") || !item.span) waterfall.fold(item, !waterfall.isOpen(item));
  else if (document.getSelection()?.isCollapsed !== false) open(item);
});
grid.addEventListener("focusin", (event) => {
  const row = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest(".span"));
  const item = model.byKey.get(row?.dataset.key ?? "");
  if (item && item.key !== waterfall.current) waterfall.mark(item);
});
watchKeys({ waterfall, zoom, open, close, nextError, clearFilter });
addEventListener("hashchange", followAddress);
const back = sessionStorage.getItem("list");
if (back?.startsWith(prefix)) /** @type {HTMLAnchorElement} */ (byId("back")).href = back;
if (model.trace.summary.is_open) ahead = model.trace.start_time + model.duration / 1000 - Date.now() / 1000;
showHead();
setInterval(tick, 1000);
listen(`${prefix}/${model.trace.summary.trace_id}/live?state=${model.trace.state}`, update, () => {});
followAddress();
document.body.dataset.ready = "yes";
