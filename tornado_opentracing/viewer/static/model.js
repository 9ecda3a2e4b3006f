// SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
// SPDX-License-Identifier: Apache-2.0
// @ts-check
// A trace as it is shown: its spans in a tree, with what is repeated put together.

/**
 * @typedef {{timestamp: number, fields: Record<string, any>}} Log
 * @typedef {{
 *   span_id: string, parent_id: string | null, operation_name: string, service: string, start_time: number,
 *   duration_ms: number, finished: boolean, tags: Record<string, any>, logs: Log[], baggage: Record<string, string>,
 *   references: {type: string, span_id: string}[], depth: number, label: string, pattern: string, outcome: string,
 *   is_error: boolean, colour: number, offset_ms: number, self_ms: number, critical: [number, number][],
 * }} Span
 * @typedef {{
 *   trace_id: string, state: string, start_time: number, duration_ms: number, dropped_spans: number,
 *   summary: import("./rows.js").Summary, spans: Span[],
 * }} Trace
 * @typedef {{
 *   key: string, number: number, span: Span | null, spans: Span[], label: string, parent: Item | null, children: Item[],
 *   level: number, place: number, begin: number, end: number, errors: number, isRunning: boolean,
 * }} Item A row: of one span, or of several that do the same.
 * @typedef {{begin: number, end: number, says: string}} Block A time in which the event loop was blocked.
 */

/** From how many siblings on that do the same they are one row, until that is opened. */
const FEWEST_REPEATS = 6;

/** What is said of each event. @type {Record<string, string>} */
const BLOCKED = { "loop blocked": "the event loop was blocked by", "waited for blocked loop": "waited for the loop, blocked by" };

export class Model {
  /** @param {Trace} trace */
  constructor(trace) {
    this.trace = trace;
    this.spans = trace.spans;
    this.duration = trace.duration_ms;
    /** @type {Item[]} */
    this.roots = [];
    /** All rows, each after the one that it is beneath. @type {Item[]} */
    this.items = [];
    /** @type {Map<string, Item>} */
    this.byKey = new Map();
    /** @type {Block[]} */
    this.blocks = [];
    this.build();
    this.findBlocks();
  }

  build() {
    /** @type {Item[]} */
    const way = [];
    this.spans.forEach((span, number) => {
      const parent = way[span.depth - 1] ?? null;
      const [begin, end] = [span.offset_ms, span.offset_ms + span.duration_ms];
      /** @type {Item} */
      const item = {
        key: span.span_id, number, span, spans: [span], label: span.label || "(no name)", parent, children: [], level: 0, place: 1, begin, end,
        errors: Number(span.is_error), isRunning: !span.finished,
      };
      (parent ? parent.children : this.roots).push(item);
      way[span.depth] = item;
      way.length = span.depth + 1;
    });
    this.roots = this.put(this.roots, null);
    this.roots.forEach((root, at) => (root.place = at + 1));
    const waiting = [...this.roots].reverse();
    for (let item = waiting.pop(); item; item = waiting.pop()) {
      item.level = (item.parent?.level ?? 0) + 1;
      item.children = item.span ? this.put(item.children, item) : item.children;
      // Of two spans of one id, the first has the address.
      if (this.byKey.has(item.key)) item.key += `-${this.items.length}`;
      this.byKey.set(item.key, item);
      this.items.push(item);
      for (let at = item.children.length - 1; at >= 0; at--) {
        item.children[at].place = at + 1;
        waiting.push(item.children[at]);
      }
    }
  }

  /**
   * Put siblings together that do the same, where the first of them stands.
   * @param {Item[]} siblings
   * @param {Item | null} parent
   * @returns {Item[]}
   */
  put(siblings, parent) {
    if (siblings.length < FEWEST_REPEATS) return siblings;
    /** @type {Map<string, Item[]>} */
    const alike = new Map();
    for (const item of siblings) {
      const name = JSON.stringify([item.span?.pattern, item.span?.service]);
      const others = alike.get(name);
      if (others) others.push(item);
      else alike.set(name, [item]);
    }
    return [...alike.values()].flatMap((group) => {
      const [first] = group;
      if (group.length < FEWEST_REPEATS || !first.span) return group;
      const spans = group.flatMap((item) => item.spans);
      /** @type {Item} */
      const made = {
        key: `${first.key}-all`, number: -1, span: null, spans, label: `${first.span.pattern} x ${group.length}`, parent,
        children: group, level: 0, place: 1,
        begin: Math.min(...group.map((item) => item.begin)), end: Math.max(...group.map((item) => item.end)),
        errors: spans.filter((span) => span.is_error).length, isRunning: group.some((item) => item.isRunning),
      };
      for (const item of group) item.parent = made;
      return [made];
    });
  }

  findBlocks() {
    /** @type {Block[]} */
    const found = [];
    for (const span of this.spans) {
      for (const log of span.logs) {
        const says = BLOCKED[log.fields.event];
        const ms = Number(log.fields.duration) * 1000;
        if (!says || !(ms > 0)) continue;
        // It is noted when it is over.
        const end = (log.timestamp - this.trace.start_time) * 1000;
        found.push({ begin: end - ms, end, says: `${says} ${log.fields["blocked by"] ?? span.label}` });
      }
    }
    // One that blocked and all that waited meanwhile tell of the same time.
    for (const block of found.sort((one, other) => one.begin - other.begin)) {
      const last = this.blocks.at(-1);
      if (!last || block.begin >= last.end) {
        this.blocks.push(block);
        continue;
      }
      last.end = Math.max(last.end, block.end);
      if (!last.says.includes(block.says)) last.says += `; ${block.says}`;
    }
  }
}

/**
 * Whether a row is to be opened before what is beneath it is seen.
 * @param {Item} item
 */
export function isGroup(item) {
  return !item.span;
}

/**
 * When a span had the first byte of its response, in milliseconds from its beginning; 0 where that is not known.
 * @param {Span} span
 */
export function firstByte(span) {
  const ms = Number(span.tags["http.response.first_byte_ms"]);
  return ms > 0 && ms < span.duration_ms ? ms : 0;
}
