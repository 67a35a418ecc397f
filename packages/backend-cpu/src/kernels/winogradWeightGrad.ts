import { type ConvWindows, roundUp, shape4, type WindowAxis } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import { divide, launchNamed, namedKernel, smaller } from "./args.ts";
import { packColumns } from "./packColumns.ts";
import { paddedInput, withPadded } from "./paddedInput.ts";
import { addRows, byHeight, forBlocks, makeTile, multiply, rowAddresses, storeTile } from "./tile.ts";
import { tiles } from "./winograd.ts";
import { transformGradient, transformInput } from "./winogradTransforms.ts";
import { winogradWeightSums } from "./winogradWeightSums.ts";
import { PARTS } from "./winogradWeights.ts";

// The gradient of a 3×3 weight from 2×2 blocks of outputs, the transpose of `winograd.ts`: with inputs and outputs' gradients
// transformed, 16 products over blocks take the place of 36, and Gᵀ P G of their sums P is the gradient. The products are done
// on the register tile of `tile.ts`. With padding and transforms that of 64 channels at 40² reaches 48 % of the ceiling wide and
// 64 % narrow, where the machine was busy: 0.71 and 0.63 of the direct one's time in the same run.

const NAMES = [
  ...(["from", "imageBytes", "gradient", "gradientImage", "planeBytes", "rowBytes", "phaseBytes"] as const),
  ...(["m", "n", "mBlock", "nBlock", "mBlocks", "nBlocks", "parts"] as const),
  ...(["stretches", "perImage", "lengthBytes", "tilesBytes"] as const),
  ...(["scratch", "scratchBytes", "inputPart", "gradientPart", "gradients", "panels", "to", "partBytes"] as const),
] as const;

// Two vectors, as the transforms take them.
const STEP_BYTES = 32;

/**
 * Units are (part of the sum, block of output channels, block of input channels): each transforms a stretch of tiles at a
 * time, and adds up its products in a place of its own.
 */
const KERNEL = namedKernel("winogradWeightGrad", NAMES, (f, arg) => {
  const tile = makeTile(f);
  const { rows: most, columns: width } = tile.shape;
  const [unit, rest, mIndex, nIndex, m0, n0, rows, columns] = f.locals("i32", 8);
  const [stretch, begin, end, image, first, kBytes, part, none, step] = f.locals("i32", 9);
  const [inputs, gradients, panels, target, source, to, row, height] = f.locals("i32", 8);
  const [channel, at, place, panel, column, address, start, pitch] = f.locals("i32", 8);
  const { planeBytes, rowBytes, phaseBytes, lengthBytes } = arg;

  /** Transforms a stretch of `count` planes from `source` on: a row of tiles for each plane and part. */
  const transform = (
    which: typeof transformInput,
    { count, out, toPart }: Record<"count" | "out" | "toPart", typeof at>,
  ) => {
    f.get(out).set(to);
    f.for(channel, { from: 0, to: count }, () => {
      f.for(at, { from: 0, to: kBytes, step: STEP_BYTES }, () => {
        f.get(source, at).op("i32.add").set(place).get(to, at).op("i32.add").set(address);
        which(f, { source: place, rowBytes, phaseBytes, to: address, toPart, vectors: STEP_BYTES / 16 });
      });
      f.get(source, planeBytes).op("i32.add").set(source).get(to, lengthBytes).op("i32.add").set(to);
    });
  };
  const multiplyPart = (): void => {
    f.get(inputs, part, arg.inputPart).op("i32.mul", "i32.add").set(source);
    const runs = { bTable: none, runLength: none, runPitch: none };
    const pack = { source, runs, first: none, kStride: step, columnStride: lengthBytes, kBytes, columns, panels };
    packColumns(f, "columns", pack);
    f.get(gradients, part, arg.gradientPart).op("i32.mul", "i32.add").set(start);
    f.get(target, part, arg.partBytes).op("i32.mul", "i32.add").set(place);
    forBlocks(f, { row, height, most, from: none, to: rows }, () => {
      f.get(place, row, pitch).op("i32.mul", "i32.add").set(to).get(panels).set(panel);
      f.for(column, { from: 0, to: columns, step: width }, () => {
        byHeight(f, { height, most }, (count) => {
          rowAddresses(f, tile, { rows: "matrix", height: count, row, start, pitch: lengthBytes, table: none });
          multiply(f, tile, { rows: "matrix", height: count, kBytes, aTable: none, aPitch: none, panel });
          f.get(to).set(address).get(stretch, begin).op("i32.sub");
          f.if(() => addRows(f, tile, { height: count, address, pitch }));
          storeTile(f, tile, { height: count, address, pitch });
        });
        f.get(panel, kBytes).i32(width).op("i32.mul", "i32.add").set(panel);
        f.get(to)
          .i32(width * 4)
          .op("i32.add")
          .set(to);
      });
    });
  };

  f.get(arg.scratch, arg.scratchBytes).thread().op("i32.mul", "i32.add").tee(inputs);
  f.get(arg.gradients).op("i32.add").set(gradients);
  f.get(inputs, arg.panels).op("i32.add").set(panels);
  f.get(arg.nBlock).i32(2).op("i32.shl").set(pitch).i32(4).set(step);
  f.for(unit, { from: f.begin, to: f.end }, () => {
    divide(f, [unit, arg.nBlocks], { quotient: rest, remainder: nIndex });
    divide(f, [rest, arg.mBlocks], { quotient: part, remainder: mIndex });
    for (const [index, block, size, from, count] of [
      [mIndex, arg.mBlock, arg.m, m0, rows],
      [nIndex, arg.nBlock, arg.n, n0, columns],
    ] as const) {
      f.get(index, block).op("i32.mul").set(from).get(size, from).op("i32.sub").set(count);
      smaller(f, count, block).set(count);
    }
    f.get(arg.to, unit, arg.partBytes).op("i32.mul").i32(PARTS).op("i32.mul", "i32.add").set(target);
    f.get(part, arg.stretches).op("i32.mul").get(arg.parts).op("i32.div_u").set(begin);
    f.get(part).i32(1).op("i32.add").get(arg.stretches).op("i32.mul").get(arg.parts).op("i32.div_u").set(end);
    f.for(stretch, { from: begin, to: end }, () => {
      divide(f, [stretch, arg.perImage], { quotient: image, remainder: first });
      f.get(first, lengthBytes).op("i32.mul").set(first).get(arg.tilesBytes, first).op("i32.sub").set(kBytes);
      smaller(f, kBytes, lengthBytes).set(kBytes);
      f.get(arg.from, image, arg.imageBytes).op("i32.mul", "i32.add").get(n0, planeBytes).op("i32.mul", "i32.add");
      f.get(first).op("i32.add").set(source);
      transform(transformInput, { count: columns, out: inputs, toPart: arg.inputPart });
      f.get(arg.gradient, image, arg.gradientImage).op("i32.mul", "i32.add").get(m0, planeBytes);
      f.op("i32.mul", "i32.add").get(first).op("i32.add").set(source);
      transform(transformGradient, { count: rows, out: gradients, toPart: arg.gradientPart });
      f.for(part, { from: 0, to: PARTS }, multiplyPart);
    });
  });
});

const BYTES = 4;
// Tiles of a stretch: transformed values are larger than those they are made of, so fewer of their products are summed in a
// row before they join the others. A core's second-level cache holds them, and the sums.
const STRETCH = 32;
// Output and input channels whose sums a unit forms; tiles of either shape are whole in them.
const BLOCK = 64;
const GRAIN = 16;
// Enough units to share out.
const UNITS = 4;
// Multiply-adds that one chunk should hold.
const CHUNK_WORK = 1 << 19;

/** Channels in blocks of equal size, as few as may be. */
function blocksOf(channels: number): { size: number; count: number } {
  const size = roundUp(Math.ceil(channels / Math.ceil(channels / BLOCK)), GRAIN);
  return { size, count: Math.ceil(channels / size) };
}

/** The gradient of a 3×3 weight of a convolution with steps of 1: dy is `c`. */
export function winogradWeightGrad(runtime: CpuRuntime, { weight: dw, x, c: dy, axes }: ConvWindows): void {
  const [[y], [across]] = axes as readonly [readonly [WindowAxis], readonly [WindowAxis]];
  const [images, m, height, width] = shape4(dy);
  const n = shape4(x)[1];
  // Both are dealt out alike: a tile's four outputs and its sixteen inputs begin at the same place of a plane.
  const input = paddedInput(runtime, { x, axes: [[tiles(y)], [tiles(across)]] });
  const gradient = paddedInput(runtime, { x: dy, axes: [[tiles({ ...y, base: 0 })], [tiles({ ...across, base: 0 })]] });
  const { layout } = input;
  const count = Math.ceil(height / 2) * (Math.ceil(width / 2) + 1) - 1;
  const [rows, columns] = [blocksOf(m), blocksOf(n)];
  const length = roundUp(Math.ceil(count / Math.ceil(count / STRETCH)), STEP_BYTES / BYTES);
  const perImage = Math.ceil(count / length);
  const stretches = images * perImage;
  const parts = Math.min(stretches, Math.ceil(UNITS / (rows.count * columns.count)));
  const partBytes = rows.size * columns.size * BYTES;
  const units = parts * rows.count * columns.count;
  // A part's rows begin in another cache line than the next part's.
  const [inputPart, gradientPart] = [columns, rows].map(({ size }) => size * length * BYTES + 64) as [number, number];
  const panels = PARTS * (inputPart + gradientPart);
  const scratchBytes = panels + inputPart;
  const work = PARTS * rows.size * columns.size * length * Math.ceil(stretches / parts);
  withPadded(runtime, { input, isAtOnce: true }, ({ from }) =>
    withPadded(runtime, { input: gradient, isAtOnce: true }, ({ from: fromGradient }) =>
      runtime.withScratch(units * PARTS * partBytes, (sums) => {
        runtime.withScratch(runtime.threads * scratchBytes, (scratch) =>
          launchNamed(runtime, KERNEL, {
            words: {
              ...{ from, imageBytes: n * layout.plane, gradient: fromGradient, gradientImage: m * layout.plane },
              ...{ planeBytes: layout.plane, rowBytes: layout.row, phaseBytes: layout.phase },
              ...{ m, n, mBlock: rows.size, nBlock: columns.size, mBlocks: rows.count, nBlocks: columns.count, parts },
              ...{ stretches, perImage, lengthBytes: length * BYTES, tilesBytes: count * BYTES },
              ...{ scratch, scratchBytes, inputPart, gradientPart, gradients: PARTS * inputPart, panels },
              ...{ to: sums, partBytes },
            },
            units,
            grain: Math.max(1, Math.floor(CHUNK_WORK / work)),
          }),
        );
        winogradWeightSums(runtime, { from: sums, to: runtime.pointer(dw), m, n, rows, columns, parts });
      }),
    ),
  );
}
