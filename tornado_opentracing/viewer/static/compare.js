// SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
// SPDX-License-Identifier: Apache-2.0
// @ts-check
// The difference to another trace: what took longer, what is new, and what is gone, each where it is in the tree.
import { duration, make } from "./dom.js";
import { merge } from "./flame.js";

/** @typedef {import("./flame.js").Box} Box */

/** Others of one operation are offered, the newest of them. */
const MOST = 50;

/**
 * Let one choose a trace of the same operation.
 * @param {HTMLSelectElement} select
 * @param {string} prefix
 * @param {import("./rows.js").Summary} summary of this one.
 */
export async function offer(select, prefix, summary) {
  const search = `"${summary.operation.replaceAll('"', "")}"`;
  const response = await fetch(`${prefix}/list.json?${new URLSearchParams({ q: search })}`);
  if (!response.ok) return;
  /** @type {import("./rows.js").Listing} */
  const { order, rows } = await response.json();
  const others = order.filter((id) => id !== summary.trace_id && rows[id].operation === summary.operation && !rows[id].is_open);
  select.replaceChildren(
    ...others.slice(0, MOST).map((id) => {
      const { time, path, duration_ms, status, errors } = rows[id];
      const option = make("option", "", `${time} ${path} ${duration(duration_ms)} ${status}${errors ? " ✗" : ""}`);
      option.value = id;
      return option;
    }),
  );
  select.disabled = !others.length;
  if (!others.length) select.append(make("option", "", "no other trace of this operation"));
}

/**
 * The rows of the difference, from the other trace to this one.
 * @param {HTMLElement} body of a table.
 * @param {import("./model.js").Span[]} here
 * @param {import("./model.js").Span[]} there
 */
export function compare(body, here, there) {
  /** @type {HTMLElement[]} */
  const rows = [];
  /** @type {[Box | undefined, Box | undefined, number][]} */
  const waiting = pairs(merge(here), merge(there), 0);
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const [mine, other, depth] = next;
    const one = mine ?? other;
    if (!one) continue;
    rows.push(row(one, mine, other, depth));
    waiting.push(...pairs(mine, other, depth + 1));
  }
  body.replaceChildren(...rows);
}

/**
 * What is below either of two boxes, each with its like, the last first.
 * @param {Box | undefined} mine
 * @param {Box | undefined} other
 * @param {number} depth
 * @returns {[Box | undefined, Box | undefined, number][]}
 */
function pairs(mine, other, depth) {
  const names = new Set([...(mine?.below.keys() ?? []), ...(other?.below.keys() ?? [])]);
  return [...names].reverse().map((name) => [mine?.below.get(name), other?.below.get(name), depth]);
}

/**
 * @param {Box} one
 * @param {Box | undefined} mine
 * @param {Box | undefined} other
 * @param {number} depth
 */
function row(one, mine, other, depth) {
  const operation = make("td", "operation", make("bdi", "", one.label), " ", make("span", "service", one.service));
  operation.style.setProperty("--depth", String(Math.min(depth, 20)));
  const difference = (mine?.total ?? 0) - (other?.total ?? 0);
  const kind = !other ? "new" : !mine ? "missing" : "";
  const share = Math.abs(difference) / Math.max(mine?.total ?? 0, other?.total ?? 0, 1e-9);
  const change = difference > 0 ? "slower" : "quicker";
  const isSmall = !kind && (share < 0.1 || Math.abs(difference) < 0.1);
  const cell = make("td", "number difference", kind ? `${kind} ` : "", `${difference > 0 ? "+" : ""}${duration(difference)}`);
  const counts = [mine?.count ?? 0, other?.count ?? 0];
  return make(
    "tr",
    isSmall ? "same" : kind || change,
    operation,
    make("td", "number", counts[0] === counts[1] ? String(counts[0]) : `${counts[0]} (was ${counts[1]})`),
    make("td", "number", mine ? duration(mine.total) : ""),
    make("td", "number", other ? duration(other.total) : ""),
    cell,
  );
}
