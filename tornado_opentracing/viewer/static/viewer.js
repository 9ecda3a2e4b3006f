"use strict";

// The list: rows come from the server as it renders them, whenever they change.
function showList(body) {
  const form = document.getElementById("filters");
  const state = document.getElementById("live");
  let socket = null;
  let pause = 500;
  let timer = 0;

  function query() {
    const fields = [...new FormData(form)].filter(([, value]) => value);
    return new URLSearchParams(fields).toString();
  }

  function connect() {
    const url = new URL(body.dataset.live + "?" + query(), location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const mine = (socket = new WebSocket(url));
    mine.onopen = () => {
      pause = 500;
      state.textContent = "live";
      state.className = "on";
    };
    mine.onmessage = (message) => {
      if (mine !== socket) return;
      const focused = document.activeElement?.closest("#traces a")?.getAttribute("href");
      body.innerHTML = message.data;
      if (focused) body.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
    };
    mine.onclose = () => {
      if (mine !== socket) return;
      state.textContent = "not live";
      state.className = "";
      timer = setTimeout(connect, pause);
      pause = Math.min(pause * 2, 10000);
    };
  }

  function changed() {
    clearTimeout(timer);
    const text = query();
    history.replaceState(null, "", location.pathname + (text ? "?" + text : ""));
    const old = socket;
    connect();
    old.close();
  }

  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(changed, 150);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    changed();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.closest("input")) return;
    event.preventDefault();
    form.elements.operation.focus();
  });
  connect();
}

// The waterfall: rows are there; this folds, filters and explains them.
function showTrace(grid) {
  const spans = JSON.parse(document.getElementById("data").textContent).spans;
  const rows = [...grid.querySelectorAll(".span")];
  const parents = rows.map((row) => Number(row.dataset.parent));
  const texts = spans.map((span) =>
    JSON.stringify([span.operation_name, span.service, span.tags, span.logs, span.baggage]).toLowerCase());
  const begin = Math.min(...spans.map((span) => span.start_time));
  const detail = document.getElementById("detail");
  const filter = document.getElementById("filter");
  const matches = document.getElementById("matches");
  let current = 0;

  const isFolded = (number) => rows[number].getAttribute("aria-expanded") === "false";
  const visible = () => rows.filter((row) => !row.hidden);

  function refresh() {
    const wanted = filter.value.trim().toLowerCase();
    const shown = rows.map(() => !wanted);
    let found = 0;
    if (wanted) {
      for (let number = 0; number < rows.length; number++) {
        const isMatch = texts[number].includes(wanted);
        rows[number].classList.toggle("faded", !isMatch);
        if (!isMatch) continue;
        found++;
        // With what leads to it.
        for (let up = number; up >= 0 && !shown[up]; up = parents[up]) shown[up] = true;
      }
    }
    const hidden = [];
    rows.forEach((row, number) => {
      const up = parents[number];
      hidden[number] = up >= 0 && (hidden[up] || (!wanted && isFolded(up)));
      row.hidden = hidden[number] || !shown[number];
      if (!wanted) row.classList.remove("faded");
    });
    matches.textContent = wanted ? `${found} of ${rows.length}` : "";
    // The keyboard goes on at a row that is there: what the hidden one was folded into, or the first.
    let up = current;
    while (up >= 0 && rows[up].hidden) up = parents[up];
    const next = up >= 0 ? up : rows.findIndex((row) => !row.hidden);
    if (next >= 0 && next !== current) mark(next);
  }

  function fold(number, isFolding) {
    if (rows[number].hasAttribute("aria-expanded")) {
      rows[number].setAttribute("aria-expanded", String(!isFolding));
      refresh();
    }
  }

  function foldAll(isFolding) {
    rows.forEach((row, number) => {
      if (row.hasAttribute("aria-expanded")) row.setAttribute("aria-expanded", String(!isFolding || parents[number] < 0));
    });
    refresh();
  }

  function mark(number) {
    rows[current].tabIndex = -1;
    rows[current].classList.remove("selected");
    current = number;
    rows[current].tabIndex = 0;
    rows[current].classList.add("selected");
    if (!detail.hidden) explain();
  }

  function select(number) {
    mark(number);
    rows[current].focus({ preventScroll: true });
    rows[current].scrollIntoView({ block: "nearest" });
  }

  // Text goes in as text: nothing of what was recorded is ever read as HTML.
  function add(parent, tag, text = "", className = "") {
    const made = parent.appendChild(document.createElement(tag));
    made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  function addFields(title, entries, parent = detail) {
    if (!entries.length) return;
    if (title) add(parent, "h3", title);
    const list = add(parent, "dl");
    const long = [];
    for (const [name, value] of entries) {
      if (String(value).includes("\n")) {
        long.push([name, value]);
        continue;
      }
      add(list, "dt", name);
      add(list, "dd", String(value));
    }
    for (const [name, value] of long) {
      add(parent, "h3", name);
      add(parent, "pre", String(value));
    }
  }

  function explain() {
    const span = spans[current];
    detail.replaceChildren();
    add(detail, "button", "✕", "close").addEventListener("click", close);
    detail.firstChild.setAttribute("aria-label", "Close");
    add(detail, "h2", span.operation_name);
    const milliseconds = (value) => `${value.toFixed(2)} ms`;
    addFields("", [
      ...(span.service ? [["service", span.service]] : []),
      ["start", `+${milliseconds((span.start_time - begin) * 1000)}`],
      ["duration", milliseconds(span.duration_ms) + (span.finished ? "" : " so far")],
    ]);
    addFields("Tags", Object.entries(span.tags));
    if (span.logs.length) add(detail, "h3", "Logs");
    for (const log of span.logs) {
      const entry = add(detail, "div", "", "log");
      add(entry, "strong", `+${milliseconds((log.timestamp - begin) * 1000)}`);
      addFields("", Object.entries(log.fields), entry);
    }
    addFields("Baggage", Object.entries(span.baggage));
    const parent = span.parent_id ? [["child_of", span.parent_id]] : [];
    addFields("References", span.references.length ? span.references.map(({ type, span_id }) => [type, span_id]) : parent);
    addFields("Ids", [["span", span.span_id]]);
  }

  function open(number) {
    detail.hidden = false;
    select(number);
    detail.scrollTop = 0;
  }

  function close() {
    detail.hidden = true;
    rows[current].focus({ preventScroll: true });
  }

  function nextError() {
    for (let step = 1; step <= rows.length; step++) {
      const number = (current + step) % rows.length;
      if (!rows[number].classList.contains("error")) continue;
      for (let up = parents[number]; up >= 0; up = parents[up]) rows[up].setAttribute("aria-expanded", "true");
      if (filter.value && !texts[number].includes(filter.value.trim().toLowerCase())) filter.value = "";
      refresh();
      return select(number);
    }
  }

  function move(step) {
    const list = visible();
    const place = list.indexOf(rows[current]) + step;
    if (list.length) select(rows.indexOf(list[Math.min(Math.max(place, 0), list.length - 1)]));
  }

  const keys = {
    ArrowDown: () => move(1),
    j: () => move(1),
    ArrowUp: () => move(-1),
    k: () => move(-1),
    PageDown: () => move(20),
    PageUp: () => move(-20),
    Home: () => move(-rows.length),
    End: () => move(rows.length),
    ArrowRight: () => (isFolded(current) ? fold(current, false) : move(1)),
    ArrowLeft: () => {
      if (rows[current].getAttribute("aria-expanded") === "true") fold(current, true);
      else if (parents[current] >= 0) select(parents[current]);
    },
    Enter: () => open(current),
    " ": () => open(current),
    Escape: close,
    e: nextError,
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === filter) {
      if (event.key === "Escape" || event.key === "ArrowDown" || event.key === "Enter") {
        if (event.key === "Escape") {
          filter.value = "";
          refresh();
        }
        event.preventDefault();
        const list = visible();
        select(event.key === "Escape" || !list.length ? current : Number(list[0].dataset.number));
      }
      return;
    }
    if (event.key === "/") {
      event.preventDefault();
      filter.focus();
      return;
    }
    if (event.target.closest("button, a, input") && event.key !== "Escape") return;
    if (Object.hasOwn(keys, event.key)) {
      event.preventDefault();
      keys[event.key]();
    }
  });

  grid.addEventListener("click", (event) => {
    const row = event.target.closest(".span");
    if (!row) return;
    const number = Number(row.dataset.number);
    if (event.target.closest(".fold")) {
      fold(number, !isFolded(number));
      return;
    }
    open(number);
  });
  filter.addEventListener("input", refresh);
  document.getElementById("collapse").addEventListener("click", () => foldAll(true));
  document.getElementById("expand").addEventListener("click", () => foldAll(false));
  document.getElementById("next-error")?.addEventListener("click", nextError);
  document.getElementById("critical").addEventListener("change", (event) =>
    grid.classList.toggle("show-critical", event.target.checked));
  document.body.dataset.ready = "yes";
}

const list = document.getElementById("traces");
const waterfall = document.getElementById("waterfall");
if (list) showList(list);
if (waterfall) showTrace(waterfall);
