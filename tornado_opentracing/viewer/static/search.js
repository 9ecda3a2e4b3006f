// SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
// SPDX-License-Identifier: Apache-2.0
// @ts-check
// What can be searched for, offered as one types: names of fields, and the values that there are of them.
import { make } from "./dom.js";

const FIELDS = ["service:", "route:", "operation:", "status:", "duration:", "error"];
const OFTEN = /** @type {Record<string, string[]>} */ ({
  status: ["2xx", "4xx", "5xx", ">=400", "running", "left"],
  duration: [">10ms", ">100ms", ">1s"],
});
const MOST = 12;

/**
 * Complete the last word of a search box.
 * @param {HTMLInputElement} box a combobox.
 * @param {HTMLElement} list its listbox.
 * @param {string} url where the words are that there are.
 */
export function complete(box, list, url) {
  /** @type {Record<string, string[]>} */
  let words = {};
  let active = -1;

  async function load() {
    try {
      const response = await fetch(url);
      if (response.ok) words = await response.json();
    } catch {
      // Without them there are the names of the fields.
    }
  }

  /** The word before the cursor, from where it begins. */
  function word() {
    const before = box.value.slice(0, box.selectionStart ?? box.value.length);
    const last = before.match(/(?:[^\s"]|"[^"]*(?:"|$))+|\s+/g)?.at(-1) ?? "";
    return last.trim() && last;
  }

  /** @returns {string[]} what the word may be on the way to. */
  function offers() {
    const typed = word();
    const [, name, value] = /^([a-z]+):(.*)$/.exec(typed) ?? [];
    if (name) {
      const wanted = value.replaceAll('"', "").toLowerCase();
      const known = [...(OFTEN[name] ?? []), ...(words[name] ?? [])];
      return [...new Set(known)]
        .filter((one) => one.toLowerCase().includes(wanted) && one.toLowerCase() !== wanted)
        .map((one) => `${name}:${/[\s"]/.test(one) ? `"${one.replaceAll('"', "")}"` : one}`)
        .slice(0, MOST);
    }
    const tags = (words.tag ?? []).map((tag) => `${tag}=`);
    const start = typed.toLowerCase();
    return [...FIELDS, ...tags].filter((one) => one.startsWith(start) && one !== start).slice(0, MOST);
  }

  function show() {
    active = -1;
    const found = offers();
    list.replaceChildren(
      ...found.map((text, at) => {
        const option = make("li", "", make("bdi", "", text));
        option.id = `offer${at}`;
        option.role = "option";
        option.ariaSelected = "false";
        // Before the box loses the keyboard.
        option.addEventListener("mousedown", (event) => {
          event.preventDefault();
          take(text);
        });
        return option;
      }),
    );
    list.hidden = !found.length;
    box.setAttribute("aria-expanded", String(found.length > 0));
    box.removeAttribute("aria-activedescendant");
  }

  function hide() {
    list.hidden = true;
    active = -1;
    box.setAttribute("aria-expanded", "false");
    box.removeAttribute("aria-activedescendant");
  }

  /** @param {string} text */
  function take(text) {
    const end = box.selectionStart ?? box.value.length;
    const begin = end - word().length;
    const added = /[:=]$/.test(text) ? text : `${text} `;
    box.setRangeText(added, begin, end, "end");
    box.dispatchEvent(new Event("input", { bubbles: true }));
    box.focus();
  }

  /** @param {number} step */
  function move(step) {
    const options = /** @type {HTMLElement[]} */ ([...list.children]);
    if (!options.length) return;
    options[active]?.setAttribute("aria-selected", "false");
    active = (active + step + options.length + (active < 0 && step < 0 ? 1 : 0)) % options.length;
    options[active].setAttribute("aria-selected", "true");
    options[active].scrollIntoView({ block: "nearest" });
    box.setAttribute("aria-activedescendant", options[active].id);
  }

  box.addEventListener("focus", () => void load().then(() => document.activeElement === box && show()));
  box.addEventListener("blur", hide);
  box.addEventListener("input", show);
  box.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      hide();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) show();
      move(event.key === "ArrowDown" ? 1 : -1);
    } else if ((event.key === "Enter" || event.key === "Tab") && active >= 0) {
      event.preventDefault();
      take(list.children[active].textContent ?? "");
    }
  });
}
