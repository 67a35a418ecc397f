import { Random } from "@dfine/tensor";
import { mosaic } from "../../data/augment/mosaic.ts";
import type { Sample } from "../../data/augment/sample.ts";
import { adjustBrightness } from "../../data/color.ts";
import { createImage, type RgbImage } from "../../data/image.ts";
import type { DetectedObject } from "../../result.ts";
import { thumbnail } from "../draw.ts";
import { classColor } from "../palette.ts";
import { px, svgFile, text } from "./plot.ts";

/** Makes a photograph hard: the image, and three others of the same folder where there are. */
type Hardship = (image: RgbImage, others: readonly RgbImage[]) => RgbImage;

const bare = (image: RgbImage): Sample => ({ image, labels: new Int32Array(), boxes: new Float32Array() });

/** Pixels of `image` as `source` tells where they come from. */
function mapped(image: RgbImage, source: (x: number, y: number) => readonly [x: number, y: number]): RgbImage {
  const { width, height } = image;
  const out = createImage(width, height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const [fromX, fromY] = source(x, y).map(Math.round) as [number, number];
      if (fromX < 0 || fromY < 0 || fromX >= width || fromY >= height) continue;
      const from = 3 * (fromY * width + fromX);
      out.data.set(image.data.subarray(from, from + 3), 3 * (y * width + x));
    }
  return out;
}

/** Each pixel as the mean of those that `offsets` lead to. */
function averaged(image: RgbImage, offsets: readonly (readonly [dx: number, dy: number])[]): RgbImage {
  const { width, height } = image;
  const out = createImage(width, height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (const [dx, dy] of offsets) {
          const [fromX, fromY] = [Math.min(Math.max(x + dx, 0), width - 1), Math.min(Math.max(y + dy, 0), height - 1)];
          sum += image.data[3 * (fromY * width + fromX) + c]!;
        }
        out.data[3 * (y * width + x) + c] = Math.round(sum / offsets.length);
      }
  return out;
}

/** Whole numbers from −reach to reach. */
const around = (reach: number): number[] => Array.from({ length: 2 * reach + 1 }, (_, i) => i - reach);
/** A length that suits the image: a share of its longer side. */
const share = ({ width, height }: RgbImage, of: number): number =>
  Math.max(1, Math.round(of * Math.max(width, height)));

/** The paper's challenges, each made of an ordinary photograph. */
export const HARDSHIPS: Readonly<Record<string, Hardship>> = {
  "as it is": (image) => image,
  occlusion: (image) => {
    const [bar, gap] = [share(image, 0.035), share(image, 0.13)];
    const out = { ...image, data: image.data.slice() };
    for (let y = 0; y < image.height; y++)
      for (let x = 0; x < image.width; x++)
        if ((x + y) % gap < bar) out.data.fill(114, 3 * (y * image.width + x), 3 * (y * image.width + x) + 3);
    return out;
  },
  "low light": (image) => adjustBrightness(image, 0.4),
  "motion blur": (image) =>
    averaged(
      image,
      around(share(image, 0.012)).map((d) => [d, 0]),
    ),
  "depth of field": (image) => {
    const reach = share(image, 0.008);
    const soft = averaged(
      image,
      around(reach).flatMap((dx) => around(reach).map((dy) => [dx, dy] as const)),
    );
    const out = { ...image, data: soft.data };
    const { width, height } = image;
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const sharp = ((x - width / 2) / (0.35 * width)) ** 2 + ((y - height / 2) / (0.35 * height)) ** 2 < 1;
        if (sharp) out.data.set(image.data.subarray(3 * (y * width + x), 3 * (y * width + x) + 3), 3 * (y * width + x));
      }
    return out;
  },
  rotation: (image) => {
    const [cos, sin] = [Math.cos(0.35), Math.sin(0.35)];
    const [mx, my] = [image.width / 2, image.height / 2];
    return mapped(image, (x, y) => [mx + cos * (x - mx) + sin * (y - my), my - sin * (x - mx) + cos * (y - my)]);
  },
  crowd: (image, others) => {
    const side = Math.max(image.width, image.height);
    const four = Array.from({ length: 3 }, (_, i) => bare(others[i % Math.max(1, others.length)] ?? image));
    return mosaic({ side, scale: 0.5, translate: 0.1, probability: 1 })(bare(image), new Random(4), four).image;
  },
};

/** A photograph that was made hard, and what was found in it. */
export interface HardPicture {
  readonly title: string;
  readonly image: RgbImage;
  readonly objects: readonly DetectedObject[];
}

const TILE = 300;
const COLUMNS = 4;
const GAP = 16;
const CAPTION = 24;

/** Figure 5: what is found under conditions that make it hard. */
export async function robustnessFigure(pictures: readonly HardPicture[]): Promise<string> {
  const tallest = Math.max(...pictures.map(({ image }) => (image.height * TILE) / image.width));
  const step = { x: TILE + GAP, y: tallest + CAPTION + GAP };
  const tiles = await Promise.all(
    pictures.map(async ({ title, image, objects }, i) => {
      const { width, height } = image;
      const at = { x: GAP + (i % COLUMNS) * step.x, y: GAP + Math.floor(i / COLUMNS) * step.y };
      const scale = width / TILE;
      const boxes = [...objects].reverse().map(({ box, classId }) => {
        const place = `x="${px(box.xmin)}" y="${px(box.ymin)}" width="${px(box.xmax - box.xmin)}" height="${px(box.ymax - box.ymin)}" fill="none"`;
        return `<rect ${place} stroke="#000" stroke-opacity=".5" stroke-width="${px(3.5 * scale)}"/><rect ${place} stroke="rgb(${classColor(classId).join(" ")})" stroke-width="${px(1.8 * scale)}"/>`;
      });
      const caption = text(`${title}: ${objects.length} found`, [at.x, at.y + 14], { anchor: "start", size: 13 });
      return `${caption}<svg x="${at.x}" y="${px(at.y + CAPTION)}" width="${TILE}" height="${px(height / scale)}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${title}"><image href="${await thumbnail(image, 2 * TILE)}" width="${width}" height="${height}"/>${boxes.join("")}</svg>`;
    }),
  );
  const size = {
    width: GAP + Math.min(COLUMNS, pictures.length) * step.x,
    height: GAP + Math.ceil(pictures.length / COLUMNS) * step.y,
  };
  return svgFile(size, "Detections under hard conditions", tiles.join("\n"));
}
