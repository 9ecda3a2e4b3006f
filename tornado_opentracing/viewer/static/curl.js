// SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
// SPDX-License-Identifier: Apache-2.0
// @ts-check
// A request as a command: what was redacted stays so, and a body is not known.

/**
 * The command that sends a span's request again; empty where it is about none.
 * @param {import("./model.js").Span} span
 * @param {import("./model.js").Model} model
 * @returns {string}
 */
export function curlOf(span, model) {
  const { tags } = span;
  const url = String(tags["http.url"] ?? "");
  if (!url || !["client", "server"].includes(String(tags["span.kind"]))) return "";
  const found = url.startsWith("/") ? origin(span, model) : "";
  const target = found === null ? url : found + url.replace(/^ws/, "http");
  if (found !== null && !/^https?:\/\//.test(target)) return "";
  const words = ["curl"];
  if (/[[\]{}]/.test(target)) words.push("--globoff");
  const method = String(tags["http.method"] ?? "GET");
  if (method === "HEAD") words.push("--head");
  else if (method !== "GET") words.push("-X", quote(method));
  for (const [name, value] of Object.entries(tags)) {
    const header = /^http\.request\.header\.(.+)$/.exec(name)?.[1];
    if (header && !["host", "content-length", "connection"].includes(header)) words.push("-H", quote(`${header}: ${value}`));
  }
  words.push((found === null ? '"http://$HOST"' : "") + quote(target));
  return words.join(" ");
}

/**
 * Where a request came in of which the server knows the path: by what it was fetched from, by its Host, or here;
 * null where that is not known.
 * @param {import("./model.js").Span} span
 * @param {import("./model.js").Model} model
 * @returns {string | null}
 */
function origin(span, model) {
  const parent = model.byKey.get(span.parent_id ?? "")?.span;
  const fetched = parent?.tags["span.kind"] === "client" ? String(parent.tags["http.url"] ?? "") : "";
  const found = /^(?:http|ws)(s?:\/\/[^/?#]+)/.exec(fetched)?.[1];
  if (found) return `http${found}`;
  const host = span.tags["http.request.header.host"];
  if (host) return `http://${host}`;
  return document.querySelector("[data-serves]") ? location.origin : null;
}

/** A word of a POSIX shell. @param {string} text */
function quote(text) {
  return /^[\w./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
