// SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
// SPDX-License-Identifier: Apache-2.0
// @ts-check
// What the keyboard does on the page of a trace.
import { input } from "./dom.js";

/**
 * @param {{
 *   waterfall: import("./waterfall.js").Waterfall, zoom: import("./zoom.js").Zoom,
 *   open: (item: import("./model.js").Item | undefined) => void, close: () => void, nextError: () => void,
 *   clearFilter: () => void,
 * }} page
 */
export function watchKeys({ waterfall, zoom, open, close, nextError, clearFilter }) {
  const filter = input("filter");

  function goRight() {
    const item = waterfall.currentItem;
    if (item?.children.length && !waterfall.isOpen(item)) waterfall.fold(item, true);
    else waterfall.move(1);
  }

  function goLeft() {
    const item = waterfall.currentItem;
    if (item?.children.length && waterfall.isOpen(item)) waterfall.fold(item, false);
    else if (item?.parent) waterfall.select(item.parent);
  }

  /** @type {Record<string, () => void>} */
  const keys = {
    ArrowDown: () => waterfall.move(1),
    j: () => waterfall.move(1),
    ArrowUp: () => waterfall.move(-1),
    k: () => waterfall.move(-1),
    PageDown: () => waterfall.move(20),
    PageUp: () => waterfall.move(-20),
    Home: () => waterfall.move(-Infinity),
    End: () => waterfall.move(Infinity),
    ArrowRight: goRight,
    ArrowLeft: goLeft,
    Enter: () => open(waterfall.currentItem),
    " ": () => open(waterfall.currentItem),
    Escape: close,
    e: nextError,
    "+": () => zoom.by(0.5),
    "-": () => zoom.by(2),
    0: () => zoom.reset(),
    "[": () => zoom.pan(-0.25),
    "]": () => zoom.pan(0.25),
  };

  /** @param {KeyboardEvent} event */
  function inFilter(event) {
    if (!["Escape", "ArrowDown", "Enter"].includes(event.key)) return;
    event.preventDefault();
    if (event.key === "Escape") clearFilter();
    const first = waterfall.shown[0];
    const item = event.key === "Escape" ? waterfall.currentItem : first;
    if (item) waterfall.select(item);
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = /** @type {Element} */ (event.target);
    if (target === filter) {
      inFilter(event);
    } else if (event.key === "/" && !target.closest("input, select")) {
      event.preventDefault();
      filter.focus();
    } else if (event.key === "Escape" || (!target.closest("button, a, input, select, pre") && Object.hasOwn(keys, event.key))) {
      event.preventDefault();
      keys[event.key]();
    }
  });
}
