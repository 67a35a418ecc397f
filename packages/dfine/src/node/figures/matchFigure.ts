import { goUnion } from "../../loss/goUnion.ts";
import type { MatchedPairs } from "../../loss/matches.ts";
import type { Box } from "../../result.ts";
import { classColor } from "../palette.ts";
import { px, svgFile, text } from "./plot.ts";

/** An image with what each decoder layer was matched to. */
export interface MatchTrace {
  /** A data: address. */
  readonly source: string;
  /** Pixels that box coordinates count. */
  readonly width: number;
  readonly height: number;
  readonly targets: readonly { readonly label: string; readonly box: Box }[];
  /** Of each layer, first to last. */
  readonly layers: readonly MatchedPairs[];
}

const PICTURE = 460;
const GAP = 20;
const CELL = { width: 74, height: 24 };
const NAMES = 90;
const HEAD = 66;

/** Black on white, so that it is read on any colour. */
const READABLE = `font-weight="700" text-anchor="middle" paint-order="stroke" stroke="#fff" stroke-width="3"`;

const fill = (target: number): string => `rgb(${classColor(target).join(" ")})`;

/** Figure 3: which target each layer's queries were matched to, and the union of all that, which teaches where boxes are. */
export function matchFigure({ source, width, height, targets, layers }: MatchTrace): string {
  const union = goUnion(layers);
  const queries = [...new Set(layers.flatMap((pairs) => [...pairs.queries]))].sort(
    (a, b) => targetOf(union, a)! - targetOf(union, b)! || a - b,
  );
  const columns = [...layers.map((pairs, i) => ({ name: `layer ${i + 1}`, pairs })), { name: "union", pairs: union }];
  const shown = (height * PICTURE) / width;
  const left = GAP + PICTURE + GAP;
  const size = {
    width: left + NAMES + columns.length * CELL.width + GAP,
    height: GAP + HEAD + Math.max(shown, queries.length * CELL.height) + GAP,
  };
  const boxes = targets.map(({ label, box }, i) => target(i, { label, box, scale: width / PICTURE }));
  const head = columns.map(({ name }, i) =>
    text(name, [left + NAMES + (i + 0.5) * CELL.width, GAP + HEAD - 10], { weight: name === "union" ? 700 : 400 }),
  );
  const rows = queries.map((query, row) => {
    const y = GAP + HEAD + row * CELL.height;
    const cells = columns.map(({ pairs, name }, i) => {
      const found = targetOf(pairs, query);
      if (found === undefined) return "";
      const at = { x: left + NAMES + i * CELL.width + 4, y: y + 2 };
      const strong = name === "union" ? `stroke="#1f2933" stroke-width="2"` : "";
      return `<rect x="${at.x}" y="${px(at.y)}" width="${CELL.width - 8}" height="${CELL.height - 4}" rx="4" fill="${fill(found)}" ${strong}/><text x="${at.x + CELL.width / 2 - 4}" y="${px(at.y + 14.5)}" font-size="12" ${READABLE}>${found + 1}</text>`;
    });
    return `${text(`query ${query}`, [left + NAMES - 12, y + 16.5], { anchor: "end" })}${cells.join("")}`;
  });
  const body = `${text("Each layer's matches, and their union", [GAP, GAP + 16], { anchor: "start", size: 16, weight: 650 })}
${text("A colour and number is a target. In the union a query has the target that it had most often; a target may have several queries.", [GAP, GAP + 36], { anchor: "start" })}
<svg x="${GAP}" y="${GAP + HEAD}" width="${PICTURE}" height="${px(shown)}" viewBox="0 0 ${width} ${height}" role="img" aria-label="The image with its targets"><image href="${source}" width="${width}" height="${height}"/>${boxes.join("")}</svg>
${head.join("")}
${rows.join("\n")}`;
  return svgFile(size, "Matches of decoder layers and their union", body);
}

const targetOf = ({ queries, targets }: MatchedPairs, query: number): number | undefined =>
  targets[queries.indexOf(query)];

function target(i: number, { box, scale }: { label: string; box: Box; scale: number }): string {
  const { xmin, ymin, xmax, ymax } = box;
  const radius = 10 * scale;
  const [x, y] = [Math.max(xmin, radius), Math.max(ymin, radius)];
  return `<rect x="${px(xmin)}" y="${px(ymin)}" width="${px(xmax - xmin)}" height="${px(ymax - ymin)}" fill="none" stroke="${fill(i)}" stroke-width="${px(2.5 * scale)}"/><circle cx="${px(x)}" cy="${px(y)}" r="${px(radius)}" fill="${fill(i)}"/><text x="${px(x)}" y="${px(y + 4.5 * scale)}" font-size="${px(12.5 * scale)}" ${READABLE}>${i + 1}</text>`;
}
