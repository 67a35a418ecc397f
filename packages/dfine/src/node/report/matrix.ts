import { escapeUTF8 as escapeHtml } from "entities/escape";
import type { ConfusionMatrix } from "../../evaluation/confusion.ts";
import { name } from "./html.ts";

const BACKGROUND = "background";
/** Classes from which on numbers would not fit into the cells. */
const CROWDED = 25;

/** The confusion matrix as a heat map; a cell is as dark as its share of the objects of its true class. */
export function matrixTable({ names, counts, threshold, iou }: ConfusionMatrix): string {
  const titles = [...names, BACKGROUND];
  const sums = titles.map((_, column) => counts.reduce((sum, row) => sum + row[column]!, 0));
  const head = titles.map((title) => `<th class="column"><span>${name(title)}</span></th>`).join("");
  const rows = titles.map((title, row) => {
    const cells = titles.map((truth, column) => {
      const count = counts[row]![column]!;
      if (count === 0) return row === column && row < names.length ? '<td class="same"></td>' : "<td></td>";
      const share = count / sums[column]!;
      const said = `${count} of ${sums[column]}: ${truth} found as ${title}`;
      return `<td class="${row === column ? "same" : ""}" style="--v:${share.toFixed(3)}" title="${escapeHtml(said)}">${titles.length > CROWDED ? "" : count}</td>`;
    });
    return `<tr><th>${name(title)}</th>${cells.join("")}</tr>`;
  });
  return `<p class="faint">Rows: found as. Columns: annotated as. Scores from ${threshold.toFixed(2)}, IoU above ${iou}. The last row holds objects that were missed, the last column detections where nothing is annotated.</p>
<div class="wide"><table class="matrix${titles.length > CROWDED ? " crowded" : ""}">
<tr><th></th>${head}</tr>
${rows.join("\n")}
</table></div>`;
}
