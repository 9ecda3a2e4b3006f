// SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
// SPDX-License-Identifier: Apache-2.0
// @ts-check
// The list of traces: what is asked for stands in the address, and the server sends what there is of that.
import { byId, count, input, listen, readData } from "./dom.js";
import { takeFiles } from "./importing.js";
import { Rows } from "./rows.js";
import { complete } from "./search.js";

const body = byId("traces");
const search = input("search");
const pause = byId("pause");
const more = byId("more");
const rows = new Rows(body, body.dataset.prefix ?? "", tellHeld);
let close = () => {};

/** What is asked for. @type {{q: string, sort: string, page: number}} */
const wanted = { q: search.value, sort: body.dataset.sort || "-time", page: Number(body.dataset.page) || 1 };

function query() {
  const fields = new URLSearchParams();
  if (wanted.q.trim()) fields.set("q", wanted.q.trim());
  if (wanted.sort !== "-time") fields.set("sort", wanted.sort);
  if (wanted.page > 1) fields.set("page", String(wanted.page));
  return fields.toString();
}

function connect() {
  close();
  close = listen(`${rows.prefix}/live?${query()}`, show, (isLive) => {
    byId("live").textContent = isLive ? "live" : "not live";
    byId("live").className = isLive ? "on" : "";
  });
}

/** Whether something else is asked for than is shown: nobody is busy with that any more. */
let isAsked = true;

/** @param {import("./rows.js").Listing} listing */
function show(listing) {
  rows.take(listing, isAsked);
  isAsked = false;
  byId("total").textContent = count(listing.total, "trace");
  const { not_understood } = listing;
  byId("problem").textContent = not_understood.length ? `not understood: ${not_understood.join(" ")}` : "";
  byId("pages").hidden = listing.pages < 2;
  byId("page").textContent = `page ${listing.page} of ${listing.pages}`;
  input("newer").disabled = listing.page < 2;
  input("older").disabled = listing.page >= listing.pages;
}

function changed() {
  const text = query();
  history.replaceState(null, "", location.pathname + (text ? `?${text}` : ""));
  sessionStorage.setItem("list", location.pathname + location.search);
  isAsked = true;
  markSorted();
  connect();
}

/** @param {number} held */
function tellHeld(held) {
  more.hidden = !held;
  more.textContent = `${held} new`;
}

function markSorted() {
  for (const head of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("th[data-sort]"))) {
    const isThis = wanted.sort.replace("-", "") === head.dataset.sort;
    if (isThis) head.setAttribute("aria-sort", wanted.sort.startsWith("-") ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  /** @type {HTMLSelectElement} */ (byId("sort")).value = wanted.sort;
}

/** @param {string} sort */
function sortBy(sort) {
  wanted.sort = sort;
  wanted.page = 1;
  changed();
}

for (const head of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("th[data-sort]"))) {
  head.querySelector("button")?.addEventListener("click", () => {
    const name = head.dataset.sort ?? "";
    sortBy(wanted.sort === `-${name}` ? name : `-${name}`);
  });
}
byId("sort").addEventListener("change", (event) => sortBy(/** @type {HTMLSelectElement} */ (event.target).value));

let timer = 0;
function typed() {
  clearTimeout(timer);
  wanted.q = search.value;
  wanted.page = 1;
  changed();
}
search.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(typed, 150);
});
byId("filters").addEventListener("submit", (event) => {
  event.preventDefault();
  typed();
});

pause.addEventListener("click", () => {
  rows.isPaused = !rows.isPaused;
  pause.setAttribute("aria-pressed", String(rows.isPaused));
  rows.settle();
});
more.addEventListener("click", () => {
  scrollTo(0, 0);
  rows.settle(true);
});
for (const [id, step] of /** @type {[string, number][]} */ ([["newer", -1], ["older", 1]])) {
  byId(id).addEventListener("click", () => {
    wanted.page += step;
    scrollTo(0, 0);
    changed();
  });
}
document.addEventListener("keydown", (event) => {
  const target = /** @type {Element} */ (event.target);
  if (event.key !== "/" || target.closest("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  search.focus();
});

takeFiles(document.body, input("file"), `${rows.prefix}/import`, (text) => (byId("imported").textContent = text));
complete(search, byId("suggestions"), `${rows.prefix}/words.json`);
show(readData());
sessionStorage.setItem("list", location.pathname + location.search);
markSorted();
connect();
