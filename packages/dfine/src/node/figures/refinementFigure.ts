import { escapeUTF8 as escapeHtml } from "entities/escape";
import { EDGES, type Edge, type EdgeDistribution, type RefinedObject } from "../../distributions.ts";
import type { Box } from "../../result.ts";

/** A picture with objects, to be drawn with how their boxes came about. */
export interface RefinedPicture {
  /** A data: address. */
  readonly source: string;
  /** Pixels that box coordinates count. */
  readonly width: number;
  readonly height: number;
  readonly objects: readonly RefinedObject[];
}

const COLORS = { first: "#e5484d", final: "#18a058", raw: "#5b6b84", weighted: "#f08c00", ink: "#1f2933" };
const FAINT = "#8a94a3";

/** Sizes on the page: the picture, a card for each object, and inside it the enlarged box and a panel for each edge. */
const PICTURE = 600;
const GAP = 20;
const LEGEND = 44;
const CARD = { width: 640, height: 142, gap: 12, padding: 12 };
const ZOOM = 94;
const PANEL = { width: 112, gap: 14, title: 12, raw: 34, weighted: 34, between: 3 };
/** Letters of a class's name. */
const LONGEST = 60;
/** Room around an enlarged box, in shares of its longer side. */
const ROOM = 0.18;

/**
 * Figure 4 of D-FINE as one SVG: the picture with first boxes in red and final ones in green, and beside it for each object the
 * distributions of its four edges, Pr(n), and what they weigh, W(n) · Pr(n), whose sum moves the edge.
 */
export function refinementFigure(picture: RefinedPicture): string {
  const { source, width, height, objects } = picture;
  const scale = PICTURE / width;
  const shown = height * scale;
  const cards = objects.length * (CARD.height + CARD.gap) - CARD.gap;
  const size = {
    width: GAP + PICTURE + (objects.length > 0 ? GAP + CARD.width : 0) + GAP,
    height: GAP + LEGEND + Math.max(shown, cards) + GAP,
  };
  const parts = objects.map((object, i) => {
    const at = { x: GAP + PICTURE + GAP, y: GAP + LEGEND + i * (CARD.height + CARD.gap) };
    return card(object, { ...at, number: i + 1, picture });
  });
  const onPicture = objects.map((object, i) => twoBoxes(object) + badge(object.box, i + 1, 1 / scale)).reverse();
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${px(size.height)}" width="${size.width}" role="img" aria-label="Objects with first and final boxes, and the distributions of their edges" font-family="system-ui, 'Segoe UI', Helvetica, Arial, sans-serif" fill="${COLORS.ink}">
<defs><image id="picture" href="${source}" width="${width}" height="${height}"/></defs>
<rect width="100%" height="100%" fill="#fff"/>
${legend(GAP, GAP + 18)}
<svg x="${GAP}" y="${GAP + LEGEND}" width="${PICTURE}" height="${px(shown)}" viewBox="0 0 ${width} ${height}" role="img" aria-label="The picture with boxes"><use href="#picture"/>${onPicture.join("")}</svg>
${parts.join("\n")}
</svg>
`;
}

function legend(x: number, y: number): string {
  const line = (color: string) =>
    `<rect x="1.5" y="-10.5" width="14" height="11" fill="none" stroke="${color}" stroke-width="2.5"/>`;
  const bars = (color: string) =>
    [4, 11, 7]
      .map((high, i) => `<rect x="${6 * i}" y="${-high}" width="4.5" height="${high}" fill="${color}"/>`)
      .join("");
  const entries: [mark: string, text: string, width: number][] = [
    [line(COLORS.first), "box of the first decoder layer", 250],
    [line(COLORS.final), "final box", 110],
    [bars(COLORS.raw), "Pr(n)", 80],
    [bars(COLORS.weighted), "W(n) · Pr(n), whose sum moves the edge outwards", 0],
  ];
  let at = x;
  return entries
    .map(([mark, text, width]) => {
      const entry = `<g transform="translate(${at} ${y})">${mark}<text x="24" font-size="14">${text}</text></g>`;
      at += width;
      return entry;
    })
    .join("");
}

/** First box under final box, both on white, so that they are seen on any picture. */
function twoBoxes({ initial, box }: Pick<RefinedObject, "initial" | "box">): string {
  const halo = `stroke="#fff" stroke-opacity=".7" stroke-width="4.5"`;
  return (
    rectangle(initial, halo) +
    rectangle(box, halo) +
    rectangle(initial, `stroke="${COLORS.first}" stroke-width="2.5"`) +
    rectangle(box, `stroke="${COLORS.final}" stroke-width="2"`)
  );
}

const rectangle = ({ xmin, ymin, xmax, ymax }: Box, stroke: string): string =>
  `<rect x="${px(xmin)}" y="${px(ymin)}" width="${px(xmax - xmin)}" height="${px(ymax - ymin)}" fill="none" vector-effect="non-scaling-stroke" ${stroke}/>`;

/** A number at a box's corner; `unit` is a point of the page in pixels of the picture. */
function badge({ xmin, ymin }: Box, number: number, unit: number): string {
  const radius = 11 * unit;
  const [x, y] = [Math.max(xmin, radius), Math.max(ymin, radius)];
  return `<circle cx="${px(x)}" cy="${px(y)}" r="${px(radius)}" fill="${COLORS.final}" stroke="#fff" stroke-width="${px(1.5 * unit)}"/><text x="${px(x)}" y="${px(y + 4.5 * unit)}" font-size="${px(13 * unit)}" font-weight="700" text-anchor="middle" fill="#fff">${number}</text>`;
}

interface CardPlace {
  readonly x: number;
  readonly y: number;
  readonly number: number;
  readonly picture: RefinedPicture;
}

function card(object: RefinedObject, { x, y, number, picture }: CardPlace): string {
  const { label, score, edges, box, initial } = object;
  const all = EDGES.map((edge) => edges[edge]);
  const most = {
    raw: Math.max(...all.flatMap(({ probability }) => [...probability])),
    weighted: Math.max(...all.flatMap(({ weighted }) => [...weighted].map(Math.abs)), 1e-9),
  };
  const top = CARD.padding + 24;
  const panels = EDGES.map((edge, i) => {
    const left = CARD.padding + ZOOM + 16 + i * (PANEL.width + PANEL.gap);
    return `<g transform="translate(${left} ${top})">${panel(edge, edges[edge], most)}</g>`;
  });
  const region = regionOf([box, initial], picture);
  return `<g transform="translate(${x} ${px(y)})"><rect width="${CARD.width}" height="${CARD.height}" rx="10" fill="#f7f9fb" stroke="#e3e8ee"/>
<circle cx="${CARD.padding + 9}" cy="${CARD.padding + 6}" r="10" fill="${COLORS.final}"/><text x="${CARD.padding + 9}" y="${CARD.padding + 10.5}" font-size="12.5" font-weight="700" text-anchor="middle" fill="#fff">${number}</text>
<text x="${CARD.padding + 27}" y="${CARD.padding + 11}" font-size="14"><tspan font-weight="650">${escapeHtml(label.slice(0, LONGEST))}</tspan> <tspan fill="${FAINT}">${score.toFixed(2)}</tspan></text>
<svg x="${CARD.padding}" y="${top}" width="${ZOOM}" height="${ZOOM}" viewBox="${region}" role="img" aria-label="Object ${number}, enlarged"><use href="#picture"/>${twoBoxes(object)}</svg>
${panels.join("\n")}</g>`;
}

/** A square around boxes, with room, as far inside the picture as it fits. */
function regionOf(boxes: readonly Box[], { width, height }: RefinedPicture): string {
  const low = (key: "xmin" | "ymin") => Math.min(...boxes.map((box) => box[key]));
  const high = (key: "xmax" | "ymax") => Math.max(...boxes.map((box) => box[key]));
  const [left, top, right, bottom] = [low("xmin"), low("ymin"), high("xmax"), high("ymax")];
  const side = Math.min(Math.max(right - left, bottom - top) * (1 + 2 * ROOM), Math.max(width, height));
  const inside = (middle: number, limit: number) =>
    side >= limit ? (limit - side) / 2 : Math.min(Math.max(middle - side / 2, 0), limit - side);
  return [inside((left + right) / 2, width), inside((top + bottom) / 2, height), side, side].map(px).join(" ");
}

/** An edge: its distribution above, what it weighs below, both with the card's own heights. */
function panel(
  edge: Edge,
  { probability, weighted, shift }: EdgeDistribution,
  most: { raw: number; weighted: number },
): string {
  const bins = probability.length;
  const step = PANEL.width / bins;
  const bar = (n: number, from: number, to: number, color: string) =>
    `<rect x="${px(n * step + step * 0.1)}" y="${px(Math.min(from, to))}" width="${px(step * 0.8)}" height="${px(Math.abs(to - from))}" fill="${color}"/>`;
  const floor = PANEL.title + PANEL.raw;
  const zero = floor + PANEL.between + PANEL.weighted / 2;
  const raw = [...probability].map((p, n) => bar(n, floor, floor - PANEL.raw * 0.9 * (p / most.raw), COLORS.raw));
  const pulled = [...weighted].map((value, n) =>
    bar(n, zero, zero - (PANEL.weighted / 2) * (value / most.weighted), COLORS.weighted),
  );
  const rule = (y: number) => `<path d="M0 ${y}H${PANEL.width}" stroke="#c9d1da" stroke-width="1"/>`;
  const bottom = zero + PANEL.weighted / 2;
  const ticks = [0, (bins - 1) / 2, bins - 1].map((n, i) => {
    const anchor = ["start", "middle", "end"][i]!;
    return `<text x="${(PANEL.width * i) / 2}" y="${px(bottom + 12)}" font-size="10" fill="${FAINT}" text-anchor="${anchor}">${i === 1 ? "n = " : ""}${n}</text>`;
  });
  const size = Math.abs(shift).toFixed(1);
  const moved = `${size === "0.0" ? "" : shift < 0 ? "−" : "+"}${size} px`;
  return `<text y="8" font-size="12.5">${edge}</text><text x="${PANEL.width}" y="8" font-size="12" text-anchor="end" fill="${FAINT}">${moved}</text>${rule(floor)}${rule(zero)}${raw.join("")}${pulled.join("")}${ticks.join("")}`;
}

const px = (value: number): number => Math.round(value * 100) / 100;
