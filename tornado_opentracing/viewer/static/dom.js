// SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
// SPDX-License-Identifier: Apache-2.0
// @ts-check
// Elements, times and the clipboard.

/**
 * An element. Text goes in as text: nothing of what was recorded is ever read as HTML.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} [className]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, className = "", ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/**
 * An element of SVG.
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @returns {SVGElement}
 */
export function draw(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  return /** @type {SVGElement} */ (made);
}

/**
 * The element of the page that has an id.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`there is no #${id}`);
  return found;
}

/**
 * The field or button that has an id.
 * @param {string} id
 * @returns {HTMLInputElement}
 */
export function input(id) {
  return /** @type {HTMLInputElement} */ (byId(id));
}

/**
 * What the server put into the page.
 * @returns {any}
 */
export function readData() {
  return JSON.parse(byId("data").textContent || "null");
}

/** @param {string} className */
export function button(/** @type {string} */ text, className, /** @type {() => void} */ act) {
  const made = make("button", className, text);
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}

/**
 * A duration as people say it: 38 us, 4.2 ms, 1.25 s, 3 min 5 s, 1 h 2 min.
 * @param {number} ms
 * @returns {string}
 */
export function duration(ms) {
  if (ms < 0) return `-${duration(-ms)}`;
  if (ms < 0.9995) return `${Math.round(ms * 1000)} us`;
  if (ms < 99.95) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_995) return `${(ms / 1000).toFixed(2)} s`;
  const seconds = Math.round(ms / 1000);
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  if (!hours) return `${minutes} min` + (rest ? ` ${rest} s` : "");
  if (hours < 48) return `${hours} h` + (minutes ? ` ${minutes} min` : "");
  return `${Math.floor(hours / 24)} d` + (hours % 24 ? ` ${hours % 24} h` : "");
}

/**
 * How many there are.
 * @param {number} number
 * @param {string} noun
 */
export function count(number, noun) {
  // Not by toLocaleString(), for which a browser reads its tables of languages.
  return `${String(number).replace(/\B(?=(\d{3})+$)/g, ",")} ${noun}${number === 1 ? "" : "s"}`;
}

/**
 * For how long something runs that still does, in whole seconds.
 * @param {number} ms
 */
export function soFar(ms) {
  const seconds = Math.max(Math.floor(ms / 1000), 0);
  return seconds < 60 ? `${seconds} s` : duration(seconds * 1000);
}

/**
 * Put a text onto the clipboard. Browsers have none for pages that come over plain HTTP from another host: there, as
 * they did it before.
 * @param {string} text
 */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return;
  } catch {
    const area = make("textarea", "offscreen", text);
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    before?.focus({ preventScroll: true });
  }
}

/**
 * A WebSocket that comes back when the server does.
 * @param {string} path
 * @param {(message: any) => void} receive
 * @param {(isLive: boolean) => void} tell
 * @returns {() => void} closes it for good.
 */
export function listen(path, receive, tell) {
  const url = new URL(path, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  let pause = 500;
  let timer = 0;
  /** @type {WebSocket | null} */
  let socket = null;

  function connect() {
    const mine = (socket = new WebSocket(url));
    mine.onopen = () => {
      pause = 500;
      tell(true);
    };
    mine.onmessage = (message) => {
      if (mine === socket) receive(JSON.parse(message.data));
    };
    mine.onclose = () => {
      if (mine !== socket) return;
      tell(false);
      timer = setTimeout(connect, pause);
      pause = Math.min(pause * 2, 10_000);
    };
  }

  connect();
  return () => {
    clearTimeout(timer);
    const last = socket;
    socket = null;
    last?.close();
  };
}
