import type { AttentionAttrs } from "@dfine/tensor";
import { type Override, roundUp, type View } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import { launchNamed, namedKernel, smaller } from "./args.ts";
import { canWalk } from "./attention.ts";
import { copyRows, packLines, packTransposed } from "./attentionPanels.ts";
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
import { addTransposed, writeProducts, writeSums } from "./attentionProducts.ts";
import { powerRows, STEP, skipBlocked } from "./attentionRows.ts";
import { makeTile } from "./tile.ts";

// Weights are computed again, block by block of 60 queries, so that none are kept from the forward pass: they would be 32 MB of each
// decoder layer in a step of four images. Tiles of `tile.ts`. 500 queries and keys at a depth of 16, 32: 53, 62 % of the ceiling
// wide, 63, 70 % narrow, powers not counted.

const PIECES = [
  ...(["keyPanels", "valuePanels", "keyLines", "queryLines", "gradLines"] as const),
  ...(["powers", "grads", "sums", "dKeys", "dValues"] as const),
] as const;
const NAMES = [
  ...placed("dy", "q", "k", "v", "bias", "dq", "dk", "dv"),
  ...SIZE_NAMES,
  ...PIECES,
  ...(["depthPitch", "valuePitch"] as const),
] as const;

/**
 * Units are (image, head): block by block of queries, the weights p are computed again, and from dy the gradients of the
 * scores, ds = p · (dy · vᵀ − Σ p · dy · vᵀ) · scale. Then dq = ds · k, dk += dsᵀ · q, dv += pᵀ · dy.
 */
const kernel = (isBiased: boolean) =>
  namedKernel(`attentionGrad${isBiased ? "/bias" : ""}`, NAMES, (f, arg) => {
    const tile = makeTile(f);
    const [unit, first, count, at, gradAt, biasAt, to, rowBytes, from] = f.locals("i32", 9);
    const { keys, queries, depthBytes, keyBytes, valueBytes, pitch, run } = arg;
    const { powers, grads, sums, keyPanels, valuePanels, keyLines, queryLines, gradLines } = arg;
    const scale = f.local("v128");
    placePieces(f, arg, PIECES);
    f.get(arg.scale).op("i32x4.splat").set(scale);
    f.for(unit, { from: f.begin, to: f.end }, () => {
      const here = findHead(f, unit, arg.heads);
      const k = rowsOf(f, arg, { name: "k", ...here, count: keys, start: at });
      packTransposed(f, { rows: k, kBytes: depthBytes, panels: keyPanels });
      packLines(f, tile, { rows: k, columnBytes: depthBytes, panels: keyLines });
      const v = rowsOf(f, arg, { name: "v", ...here, count: keys, start: at });
      packTransposed(f, { rows: v, kBytes: valueBytes, panels: valuePanels });
      for (const [sum, linePitch] of [
        [arg.dKeys, arg.depthPitch],
        [arg.dValues, arg.valuePitch],
      ] as const)
        f.get(sum).i32(0).get(keys).i32(STEP).op("i32.add").get(linePitch).op("i32.mul", "memory.fill");
      f.for(first, { from: 0, to: queries, step: arg.block }, () => {
        f.get(queries, first).op("i32.sub").set(count);
        smaller(f, count, arg.block).tee(count).i32(2).op("i32.shl").set(rowBytes);
        const part = { ...here, first, count };
        const q = rowsOf(f, arg, { name: "q", ...part, start: at });
        const dy = rowsOf(f, arg, { name: "dy", ...part, start: gradAt });
        const bias = rowsOf(f, arg, { name: "bias", ...part, start: biasAt });
        const dq = rowsOf(f, arg, { name: "dq", ...part, start: to });
        if (isBiased) skipBlocked(f, { bias, keyBytes, from });
        const products = { columnBytes: keyBytes, from, pitch };
        writeProducts(f, tile, { ...products, rows: q, panels: keyPanels, kBytes: depthBytes, to: powers });
        writeProducts(f, tile, { ...products, rows: dy, panels: valuePanels, kBytes: valueBytes, to: grads });
        powerRows(f, {
          ...{ products: powers, grads, pitch, count, from, keyBytes, scale, sums, bias: isBiased ? bias : undefined },
        });
        writeSums(f, tile, {
          ...{ rows: { start: grads, pitch, count }, panels: keyLines, kBytes: keyBytes, columnBytes: depthBytes },
          ...{ from, run, to: dq.start, toPitch: dq.pitch },
        });
        packLines(f, tile, { rows: q, columnBytes: depthBytes, panels: queryLines });
        packLines(f, tile, { rows: dy, columnBytes: valueBytes, panels: gradLines, divisors: sums });
        const transposed = { from, count: keys, pitch, kBytes: rowBytes };
        addTransposed(f, tile, {
          ...{ ...transposed, columns: grads, panels: queryLines, columnBytes: depthBytes },
          ...{ to: arg.dKeys, toPitch: arg.depthPitch },
        });
        addTransposed(f, tile, {
          ...{ ...transposed, columns: powers, panels: gradLines, columnBytes: valueBytes },
          ...{ to: arg.dValues, toPitch: arg.valuePitch },
        });
      });
      const dk = rowsOf(f, arg, { name: "dk", ...here, count: keys, start: to });
      copyRows(f, { from: arg.dKeys, fromPitch: arg.depthPitch, rows: dk, columnBytes: depthBytes });
      const dv = rowsOf(f, arg, { name: "dv", ...here, count: keys, start: to });
      copyRows(f, { from: arg.dValues, fromPitch: arg.valuePitch, rows: dv, columnBytes: valueBytes });
    });
  });

const KERNELS = { plain: kernel(false), biased: kernel(true) };

export const attentionGradOverride = (runtime: CpuRuntime): Override<AttentionAttrs> => ({
  select: (inputs) => (canWalk(inputs) ? (inputs.length > 4 ? "biased" : "plain") : undefined),
  run({ inputs, outputs, attrs }) {
    const [dy, q, k, v, bias] = inputs as [View, View, View, View, View?];
    const [dq, dk, dv] = outputs.map(byHead) as [View, View, View];
    const { images, heads, queries, keys, depth, values, ...sizes } = attentionSizes([q, k, v], attrs.scale);
    const [depthPitch, valuePitch] = [roundUp(depth, STEP), roundUp(values, STEP)] as const;
    const weights = (sizes.block * sizes.pitch) / 4;
    const { offsets, scratchBytes } = scratchPieces({
      keyPanels: panelFloats(keys, depth),
      valuePanels: panelFloats(keys, values),
      keyLines: panelFloats(depth, keys),
      queryLines: panelFloats(depth, sizes.block),
      gradLines: panelFloats(values, sizes.block),
      powers: weights,
      grads: weights,
      sums: sizes.block,
      dKeys: (keys + STEP) * depthPitch,
      dValues: (keys + STEP) * valuePitch,
    });
    runtime.withScratch(runtime.threads * scratchBytes, (scratch) =>
      launchNamed(runtime, KERNELS[bias ? "biased" : "plain"], {
        words: {
          ...placeWords({ dy: byHead(dy), q, k, v, bias: bias ?? q, dq, dk, dv }),
          ...{ heads, queries, keys, ...sizes, ...offsets, scratch, scratchBytes },
          ...{ depthPitch: depthPitch * 4, valuePitch: valuePitch * 4 },
        },
        units: images * heads,
        grain: 1,
      }),
    );
  },
});
