import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { escapeUTF8 as escapeHtml } from "entities/escape";
import { packageFile } from "../packageFiles.ts";
import type { Chart } from "./charts.ts";
import { embedded } from "./html.ts";
import { runPage } from "./pageScript.ts";
import { STYLE } from "./style.ts";

/** A report in parts: HTML of its sections by id, in their order, and the charts that have places in them. */
export interface ReportParts {
  readonly sections: ReadonlyMap<string, string>;
  readonly charts: readonly Chart[];
}

let plotFiles: { script: string; style: string } | undefined;

/** uPlot's own files, read when the first page is made. */
function plotLibrary() {
  const folder = dirname(packageFile("uplot"));
  const read = (name: string) => readFileSync(join(folder, name), "utf8");
  plotFiles ??= { script: read("uPlot.iife.min.js"), style: read("uPlot.min.css") };
  return plotFiles;
}

const hashOf = (text: string, digest: "base64" | "hex" = "hex"): string =>
  createHash("sha256").update(text).digest(digest);

/**
 * What the scripts after it may count on: a language that is a name (browsers of systems without one may give "en-US@posix",
 * which uPlot would fail on), and the helper that bundlers which keep names call in what they bundle.
 */
const BEFORE = `try { new Intl.NumberFormat(navigator.language); } catch { Object.defineProperty(navigator, "language", { value: "en" }); }
const __name = (value) => value;`;

/** A section's mark, by which the page sees that it has changed. */
export const markOf = (html: string): string => hashOf(html).slice(0, 16);

/**
 * A page that needs nothing beside itself: no font, no file, no address. No script but its own may run in it, whatever stands
 * in names. `live`: it asks the server that it came from for what is new.
 */
export function page(title: string, { sections, charts }: ReportParts, { live = false } = {}): string {
  const { script, style } = plotLibrary();
  const program = `${BEFORE}\n${script}\n(${runPage.toString()})();`;
  const policy = `default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-${hashOf(program, "base64")}'; connect-src 'self'; base-uri 'none'; form-action 'none'`;
  const body = [...sections].map(
    ([id, html]) => `<section id="${id}" data-mark="${markOf(html)}">\n${html}\n</section>`,
  );
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title>
<style>${style}${STYLE}</style>
<body>
<h1><bdi>${escapeHtml(title)}</bdi></h1>
<p id="status"${live ? ' data-live=""' : ""} role="status"></p>
<noscript><p>The curves need JavaScript; tables and pictures do not.</p></noscript>
${body.join("\n")}
<script type="application/json" id="charts">${embedded(charts)}</script>
<script>${program}</script>
</body>
</html>
`;
}
