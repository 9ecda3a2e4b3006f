// SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
// SPDX-License-Identifier: Apache-2.0
// @ts-check
// A file of OTLP in JSON that is dragged onto the list, or chosen, is sent to the server.

/**
 * @param {HTMLElement} area where files are dropped.
 * @param {HTMLInputElement} chooser
 * @param {string} url
 * @param {(text: string) => void} tell
 */
export function takeFiles(area, chooser, url, tell) {
  /** @param {FileList | null | undefined} files */
  async function send(files) {
    let traces = 0;
    for (const file of files ?? []) {
      const response = await fetch(url, { method: "POST", body: file, headers: { "Content-Type": "application/json" } });
      if (!response.ok) {
        tell(`${file.name} is no file of traces in OTLP as JSON`);
        return;
      }
      traces += (await response.json()).traces.length;
    }
    if (traces) tell(`imported: ${traces}`);
  }

  /** @param {DragEvent} event */
  const hasFiles = (event) => Boolean(event.dataTransfer?.types.includes("Files"));
  area.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    area.classList.add("dropping");
  });
  area.addEventListener("dragleave", (event) => {
    if (!area.contains(/** @type {Node | null} */ (event.relatedTarget))) area.classList.remove("dropping");
  });
  area.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    area.classList.remove("dropping");
    void send(event.dataTransfer?.files);
  });
  chooser.addEventListener("change", () => {
    void send(chooser.files).then(() => (chooser.value = ""));
  });
}
