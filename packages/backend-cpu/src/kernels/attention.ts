import type { AttentionAttrs } from "@dfine/tensor";
import type { Override, View } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import { divide, launchNamed, namedKernel, smaller } from "./args.ts";
import { packLines, packTransposed } from "./attentionPanels.ts";
import {
  attentionSizes,
  byHead,
  findHead,
  panelFloats,
  placed,
  placePieces,
  placeWords,
  rowsOf,
  SIZE_NAMES,
  scratchPieces,
} from "./attentionPlaces.ts";
import { writeProducts, writeSums } from "./attentionProducts.ts";
import { powerRows, skipBlocked } from "./attentionRows.ts";
import { makeTile } from "./tile.ts";

// Softmax between two products, for a block of 60 queries and all keys: their weights stay in the second-level cache and never
// reach memory; keys before the first that a mask lets through are passed over. Tiles of `tile.ts`; keys and values are packed once per unit. 500 queries
// and keys at a depth of 16, 32: 43, 55 % of the ceiling wide, 51, 64 % narrow, powers not counted.

const PIECES = ["keyPanels", "valuePanels", "scores", "sums"] as const;
const NAMES = [...placed("q", "k", "v", "bias", "to"), ...SIZE_NAMES, ...PIECES, "parts", "partRows"] as const;

/** Units are (image, head, part of the queries). Blocks of queries meet all keys: their scores, the powers, the mixed values. */
const kernel = (isBiased: boolean) =>
  namedKernel(`attention${isBiased ? "/bias" : ""}`, NAMES, (f, arg) => {
    const tile = makeTile(f);
    const [unit, pair, part, first, last, count, from] = f.locals("i32", 7);
    const [at, biasAt, to] = f.locals("i32", 3);
    const { keys, depthBytes, keyBytes, valueBytes, pitch, scores, sums, run, keyPanels, valuePanels } = arg;
    const scale = f.local("v128");
    placePieces(f, arg, PIECES);
    f.get(arg.scale).op("i32x4.splat").set(scale);
    f.for(unit, { from: f.begin, to: f.end }, () => {
      divide(f, [unit, arg.parts], { quotient: pair, remainder: part });
      const here = findHead(f, pair, arg.heads);
      const k = rowsOf(f, arg, { name: "k", ...here, count: keys, start: at });
      packTransposed(f, { rows: k, kBytes: depthBytes, panels: keyPanels });
      const v = rowsOf(f, arg, { name: "v", ...here, count: keys, start: at });
      packLines(f, tile, { rows: v, columnBytes: valueBytes, panels: valuePanels });
      f.get(part, arg.partRows).op("i32.mul").tee(first).get(arg.partRows).op("i32.add").set(last);
      smaller(f, last, arg.queries).set(last);
      f.for(first, { from: first, to: last, step: arg.block }, () => {
        f.get(last, first).op("i32.sub").set(count);
        smaller(f, count, arg.block).set(count);
        const rows = rowsOf(f, arg, { name: "q", ...here, first, count, start: at });
        const bias = rowsOf(f, arg, { name: "bias", ...here, first, count, start: biasAt });
        const results = rowsOf(f, arg, { name: "to", ...here, first, count, start: to });
        if (isBiased) skipBlocked(f, { bias, keyBytes, from });
        writeProducts(f, tile, {
          ...{ rows, panels: keyPanels, kBytes: depthBytes, columnBytes: keyBytes, from, to: scores, pitch },
        });
        powerRows(f, {
          ...{ products: scores, pitch, count, from, keyBytes, scale, sums, bias: isBiased ? bias : undefined },
        });
        writeSums(f, tile, {
          ...{
            rows: { start: scores, pitch, count },
            panels: valuePanels,
            kBytes: keyBytes,
            columnBytes: valueBytes,
          },
          ...{ from, run, to: results.start, toPitch: results.pitch, divisors: sums },
        });
      });
    });
  });

const KERNELS = { plain: kernel(false), biased: kernel(true) };

/** Whether rows' elements are adjacent, and there are any. */
export const canWalk = (views: readonly View[]): boolean =>
  views.every(({ shape, strides }) => strides.at(-1) === 1 && !shape.includes(0));

// Units below which queries are cut into parts, and the fewest of a part: keys are packed for each.
const UNITS = 32;
const LEAST_ROWS = 60;

export const attentionOverride = (runtime: CpuRuntime): Override<AttentionAttrs> => ({
  select: (inputs) => (canWalk(inputs) ? (inputs.length > 3 ? "biased" : "plain") : undefined),
  run({ inputs, outputs, attrs }) {
    const [q, k, v, bias] = inputs as [View, View, View, View?];
    const { images, heads, queries, keys, depth, values, ...sizes } = attentionSizes(inputs, attrs.scale);
    const most = Math.ceil(queries / LEAST_ROWS);
    const parts = Math.max(1, Math.min(most, Math.ceil(UNITS / (images * heads))));
    const partRows = Math.ceil(queries / parts);
    const { offsets, scratchBytes } = scratchPieces({
      keyPanels: panelFloats(keys, depth),
      valuePanels: panelFloats(values, keys),
      scores: (sizes.block * sizes.pitch) / 4,
      sums: sizes.block,
    });
    runtime.withScratch(runtime.threads * scratchBytes, (scratch) =>
      launchNamed(runtime, KERNELS[bias ? "biased" : "plain"], {
        words: {
          ...placeWords({ q, k, v, bias: bias ?? q, to: byHead(outputs[0]!) }),
          ...{ heads, queries, keys, ...sizes, ...offsets, scratch, scratchBytes },
          ...{ parts: Math.ceil(queries / partRows), partRows },
        },
        units: images * heads * Math.ceil(queries / partRows),
        grain: 1,
      }),
    );
  },
});
