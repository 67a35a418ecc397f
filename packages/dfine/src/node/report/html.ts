import { escapeUTF8 as escapeHtml } from "entities/escape";

/** A piece of the page's own HTML among texts. */
export interface Html {
  readonly html: string;
}

/** A table of texts and ready HTML; numbers are aligned right. */
export function table(header: readonly string[], rows: readonly (readonly (string | number | Html)[])[]): string {
  const head = header.some((title) => title !== "")
    ? `<tr>${header.map((title) => `<th>${escapeHtml(title)}</th>`).join("")}</tr>\n`
    : "";
  return `<div class="wide"><table>
${head}${rows.map((row) => `<tr>${row.map(cell).join("")}</tr>`).join("\n")}
</table></div>`;
}

function cell(value: string | number | Html): string {
  if (typeof value === "number") return `<td class="number">${value}</td>`;
  return typeof value === "string" ? `<td>${name(value)}</td>` : `<td>${value.html}</td>`;
}

/** A name of any script, which keeps its own direction. */
export const name = (text: string): string => `<bdi>${escapeHtml(text)}</bdi>`;

/** A share as a number with a bar; a dash for a negative one. */
export function bar(value: number): Html {
  if (value < 0) return { html: "–" };
  return { html: `<span class="bar" style="--v:${value.toFixed(4)}">${value.toFixed(3)}</span>` };
}

/** JSON in a script element: nothing in it can end the element. */
export const embedded = (value: unknown): string => JSON.stringify(value).replaceAll("<", "\\u003c");
