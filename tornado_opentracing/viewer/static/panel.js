// SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
// SPDX-License-Identifier: Apache-2.0
// @ts-check
// All that is known of one span.
import { button, copy, duration, make } from "./dom.js";
import { curlOf } from "./curl.js";
import { firstByte } from "./model.js";

/** @typedef {import("./model.js").Span} Span */

/**
 * Show a row's span, or what its spans have in common.
 * @param {HTMLElement} panel
 * @param {import("./model.js").Item} item
 * @param {import("./model.js").Model} model
 * @param {{close: () => void, open: (span: Span) => void}} act
 */
export function explain(panel, item, model, act) {
  const close = button("✕", "close", act.close);
  close.setAttribute("aria-label", "Close");
  panel.replaceChildren(close);
  const { span } = item;
  if (!span) {
    explainGroup(panel, item, act.open);
    return;
  }
  panel.append(make("h2", "", span.operation_name || "(no name)"));
  const since = (/** @type {number} */ moment) => `+${duration((moment - model.trace.start_time) * 1000)}`;
  const first = firstByte(span);
  addFields(panel, "", [
    ...(span.service ? /** @type {[string, string][]} */ ([["service", span.service]]) : []),
    ["start", since(span.start_time)],
    ["duration", duration(span.duration_ms) + (span.finished ? "" : " so far")],
    ["self time", duration(span.self_ms)],
    ...(first ? /** @type {[string, string][]} */ ([["first byte after", duration(first)]]) : []),
  ]);
  const curl = curlOf(span, model);
  const copies = make("div", "copies");
  copies.append(copier("Copy link", () => `${location.href.split("#")[0]}#${span.span_id}`));
  if (curl) copies.append(copier("Copy as curl", () => curl));
  panel.append(copies);
  addFields(panel, "Tags", Object.entries(span.tags));
  if (span.logs.length) panel.append(make("h3", "", "Logs"));
  for (const log of span.logs) {
    const entry = make("div", "log", make("strong", "", since(log.timestamp)));
    const isBlock = String(log.fields.event).endsWith("blocked") || "blocked by" in log.fields;
    const fields = Object.entries(log.fields).map(([name, value]) =>
      /** @type {[string, any]} */ ([name, isBlock && name === "duration" ? duration(Number(value) * 1000) : value]),
    );
    addFields(entry, "", fields);
    if (/^[0-9a-f]{32}$/.test(log.fields["blocked by trace"])) {
      const link = make("a", "", "The trace that blocked it");
      link.href = log.fields["blocked by trace"].replace(/^0+/, "");
      entry.append(link);
    }
    panel.append(entry);
  }
  addFields(panel, "Baggage", Object.entries(span.baggage));
  addReferences(panel, span, model, act.open);
  if (curl) panel.append(make("h3", "", "Request"), make("pre", "", curl));
  panel.append(make("h3", "", "Ids"));
  const ids = make("dl");
  for (const [name, id] of [["span", span.span_id], ["trace", model.trace.trace_id]]) {
    ids.append(make("dt", "", name), make("dd", "id", make("code", "", id), " ", copier("Copy", () => id, `Copy the ${name} id`)));
  }
  panel.append(ids);
}

/**
 * @param {HTMLElement} panel
 * @param {import("./model.js").Item} item
 * @param {(span: Span) => void} open
 */
function explainGroup(panel, item, open) {
  panel.append(make("h2", "", item.label));
  const ordered = [...item.spans].sort((a, b) => b.duration_ms - a.duration_ms);
  const total = ordered.reduce((sum, span) => sum + span.duration_ms, 0);
  addFields(panel, "", [
    ["service", ordered[0].service],
    ["in all", duration(total)],
    ["median", duration(ordered[Math.floor(ordered.length / 2)].duration_ms)],
    ["slowest", duration(ordered[0].duration_ms)],
    ["failed", String(item.errors)],
  ]);
  panel.append(make("h3", "", "The slowest"));
  const list = make("ul", "links");
  for (const span of ordered.slice(0, 10)) list.append(make("li", "", linkTo(span, open), ` ${duration(span.duration_ms)}`));
  panel.append(list);
}

/**
 * @param {HTMLElement} panel
 * @param {Span} span
 * @param {import("./model.js").Model} model
 * @param {(span: Span) => void} open
 */
function addReferences(panel, span, model, open) {
  const parent = span.parent_id ? [{ type: "child_of", span_id: span.parent_id }] : [];
  const references = span.references.length ? span.references : parent;
  if (!references.length) return;
  panel.append(make("h3", "", "References"));
  const list = make("dl");
  for (const { type, span_id } of references) {
    const other = model.byKey.get(span_id)?.span;
    const value = make("dd", "", make("code", "", span_id));
    if (other) value.prepend(linkTo(other, open), " ");
    list.append(make("dt", "", type), value);
  }
  panel.append(list);
}

/**
 * @param {Span} span
 * @param {(span: Span) => void} open
 */
function linkTo(span, open) {
  const link = make("a", "", make("bdi", "", span.label || "(no name)"));
  link.href = `#${span.span_id}`;
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(span);
  });
  return link;
}

/**
 * @param {string} text
 * @param {() => string} content
 * @param {string} [label]
 */
function copier(text, content, label) {
  const made = button(text, "copy", () => {
    void copy(content()).then(() => {
      made.textContent = "Copied";
      setTimeout(() => (made.textContent = text), 1200);
    });
  });
  if (label) made.setAttribute("aria-label", label);
  return made;
}

/**
 * Names and values; what has several lines comes after the others.
 * @param {HTMLElement} parent
 * @param {string} title
 * @param {[string, any][]} entries
 */
function addFields(parent, title, entries) {
  if (!entries.length) return;
  if (title) parent.append(make("h3", "", title));
  const list = make("dl");
  parent.append(list);
  for (const [name, value] of entries) {
    if (!String(value).includes("\n")) list.append(make("dt", "", name), make("dd", "", String(value)));
  }
  if (!list.childNodes.length) list.remove();
  for (const [name, value] of entries) {
    if (String(value).includes("\n")) parent.append(make("h3", "", name), scrolling(make("pre", "", String(value)), name));
  }
}

/**
 * What may be wider than the panel is reached with the keyboard, too.
 * @param {HTMLElement} element
 * @param {string} name
 */
function scrolling(element, name) {
  element.tabIndex = 0;
  element.role = "region";
  element.setAttribute("aria-label", name);
  return element;
}
