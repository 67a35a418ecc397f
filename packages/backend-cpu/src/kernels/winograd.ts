import type { Conv2dAttrs } from "@dfine/tensor";
import { type ConvWindows, type Epilogue, roundUp, type Shape4, shape4, type WindowAxis } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import { divide, launchNamed, namedKernel, smaller } from "./args.ts";
import { boundEpilogue, EPILOGUE_NAMES, type EpilogueKind, epilogueWords, finish, kindText } from "./epilogue.ts";
import { cutSummed } from "./gemmProblem.ts";
import { paddedInput, withPadded } from "./paddedInput.ts";
import { addTile, byHeight, forBlocks, makeTile, multiply, rowAddresses, storeTile, tileShape } from "./tile.ts";
import { scatterOutput, transformInput, transformOutput } from "./winogradTransforms.ts";
import { PARTS, winogradWeights, winogradWeightsLayout } from "./winogradWeights.ts";

// Winograd's F(2×2, 3×3) (Lavin & Gray 2015): 2×2 outputs of a 3×3 convolution in 16 multiply-adds for each channel
// instead of 36. The 16 products are done on the register tile of `tile.ts`, whose columns are 2×2 blocks of outputs here.
// With its padding and transforms a convolution of 64 channels at 40² reaches 59 % of the ceiling wide and 71 % narrow:
// counted as the direct one's work, 133 and 160 %.

const NAMES = [
  ...(["from", "imageBytes", "planeBytes", "rowBytes", "phaseBytes"] as const),
  ...(["channels", "segment", "weights", "weightRow", "weightPart"] as const),
  ...(["rows", "to", "toImage", "toPlane", "height", "width", "rowTiles"] as const),
  ...(["panels", "blockPanels", "blocks"] as const),
  ...(["scratch", "scratchBytes", "inputPart", "inputPanel", "sumsPanel"] as const),
  ...EPILOGUE_NAMES,
] as const;

/**
 * Units are blocks of panels; a panel is as many neighbouring tiles as the register tile has columns. A row of tiles is
 * followed by one that does not exist, so that neighbours lie side by side in the padded planes across rows too.
 */
const kernel = (epilogue: EpilogueKind | undefined) =>
  namedKernel(`winograd${kindText(epilogue)}`, NAMES, (f, arg) => {
    const tile = makeTile(f);
    const { rows: most, columns: width, vectors } = tile.shape;
    const [unit, image, first, last, panel] = f.locals("i32", 5);
    const [segment, end, channel, part, row, height, none] = f.locals("i32", 7);
    const [source, target, inputs, sums, own, from, to, start, address] = f.locals("i32", 9);
    const [kBytes, pitch, tileRow, tileColumn] = f.locals("i32", 4);
    const [y, x] = f.locals("i32", 2);
    /** Bytes of all parts of a panel's output channel, and of one. */
    const [channelBytes, partBytes] = [PARTS * width * 4, width * 4];
    const { segment: segmentChannels, inputPart, weightRow } = arg;

    const transformInputs = (): void => {
      f.get(source, segment, arg.planeBytes).op("i32.mul", "i32.add").set(start);
      f.get(inputs).set(address);
      f.for(channel, { from: segment, to: end }, () => {
        f.get(start).set(from).get(address).set(to);
        f.for(panel, { from: first, to: last }, () => {
          const { rowBytes, phaseBytes } = arg;
          transformInput(f, { source: from, rowBytes, phaseBytes, to, toPart: inputPart, vectors });
          f.get(from).i32(partBytes).op("i32.add").set(from);
          f.get(to, arg.inputPanel).op("i32.add").set(to);
        });
        f.get(start, arg.planeBytes).op("i32.add").set(start);
        f.get(address).i32(partBytes).op("i32.add").set(address);
      });
    };
    const multiplyParts = (): void => {
      f.for(part, { from: 0, to: PARTS }, () => {
        f.get(arg.weights, part, arg.weightPart).op("i32.mul", "i32.add");
        f.get(segment).i32(2).op("i32.shl", "i32.add").set(start);
        forBlocks(f, { row, height, most, from: none, to: arg.rows }, () => {
          f.get(inputs, part, inputPart).op("i32.mul", "i32.add").set(from);
          f.get(sums, row).i32(channelBytes).op("i32.mul", "i32.add");
          f.get(part).i32(partBytes).op("i32.mul", "i32.add").set(to);
          f.for(panel, { from: first, to: last }, () => {
            f.get(to).set(address);
            byHeight(f, { height, most }, (count) => {
              rowAddresses(f, tile, { rows: "matrix", height: count, row, start, pitch: weightRow, table: none });
              multiply(f, tile, { rows: "matrix", height: count, kBytes, aTable: none, aPitch: none, panel: from });
              f.get(segment).if(() => addTile(f, tile, { height: count, address, pitch: channelBytes }));
              storeTile(f, tile, { height: count, address, pitch });
            });
            f.get(from, arg.inputPanel).op("i32.add").set(from);
            f.get(to, arg.sumsPanel).op("i32.add").set(to);
          });
        });
      });
    };
    const transformOutputs = (): void => {
      f.get(sums).set(start);
      f.for(row, { from: 0, to: arg.rows }, () => {
        f.get(start).set(from).get(tileRow).set(y).get(tileColumn).set(x);
        f.for(panel, { from: first, to: last }, () => {
          transformOutput(f, {
            ...{ from, to: own, vectors },
            finish: (outputs) => epilogue && finish(f, epilogue, { arg, channel: row, sums: outputs }),
          });
          scatterOutput(f, { ...arg, from: own, to: target, row: y, column: x, vectors });
          f.get(from, arg.sumsPanel).op("i32.add").set(from);
        });
        f.get(start).i32(channelBytes).op("i32.add").set(start);
        f.get(target, arg.toPlane).op("i32.add").set(target);
      });
    };

    f.i32(channelBytes).set(pitch);
    f.get(arg.scratch, arg.scratchBytes).thread().op("i32.mul", "i32.add").tee(inputs);
    f.get(arg.blockPanels, arg.inputPanel).op("i32.mul", "i32.add").set(sums);
    f.own().set(own);
    f.for(unit, { from: f.begin, to: f.end }, () => {
      divide(f, [unit, arg.blocks], { quotient: image, remainder: first });
      f.get(first, arg.blockPanels).op("i32.mul").tee(first).get(arg.blockPanels).op("i32.add").set(last);
      smaller(f, last, arg.panels).set(last);
      f.get(first).i32(width).op("i32.mul").set(panel);
      f.get(arg.from, image, arg.imageBytes).op("i32.mul", "i32.add");
      f.get(panel).i32(2).op("i32.shl", "i32.add").set(source);
      f.get(arg.to, image, arg.toImage).op("i32.mul", "i32.add").set(target);
      f.get(arg.rowTiles).i32(1).op("i32.add").set(end);
      divide(f, [panel, end], { quotient: tileRow, remainder: tileColumn });
      f.for(segment, { from: 0, to: arg.channels, step: segmentChannels }, () => {
        f.get(segment, segmentChannels).op("i32.add").set(end);
        smaller(f, end, arg.channels).set(end);
        f.get(end, segment).op("i32.sub").i32(2).op("i32.shl").set(kBytes);
        transformInputs();
        multiplyParts();
      });
      transformOutputs();
    });
  });

/** Whether a convolution with these attributes, weight and input, or such a one's gradient, is faster this way. */
export const suitsWinograd = (
  { stride, dilation, groups }: Conv2dAttrs,
  { weight: [co, ci, kh, kw], x: [, , height, width] }: { weight: Shape4; x: Shape4 },
): boolean =>
  kh === 3 &&
  kw === 3 &&
  groups * stride[0] * stride[1] * dilation[0] * dilation[1] === 1 &&
  Math.min(co, ci) >= LEAST_CHANNELS &&
  height * width >= LEAST_PIXELS;

// Below, what is won hardly pays for the transforms: of values with few channels, of weights on few pixels.
const LEAST_CHANNELS = 16;
const LEAST_PIXELS = 100;

const BYTES = 4;
// What a block's panels may take of a core's second-level cache.
const BLOCK_BYTES = 512 * 1024;
// Of many planes, which lie far apart, more is read at once.
const CHANNELS_PER_PANEL = 16;
// Enough units to share out.
const UNITS = 16;
// Multiply-adds that one chunk should hold.
const CHUNK_WORK = 1 << 19;

/** Windows of 4×4 that the tiles along an axis read. */
export const tiles = ({ outputs, base }: WindowAxis): WindowAxis => ({
  ...{ outputs: Math.ceil(outputs / 2), start: 0, outStep: 1, step: 2, base },
  ...{ taps: 4, tapStep: 1, firstTap: 0, tapIndexStep: 1 },
});

/** Sums 3×3 windows of x into c, then the epilogue. */
export function winograd(
  runtime: CpuRuntime,
  { epilogue, ...windows }: ConvWindows & { epilogue?: Epilogue | undefined },
): void {
  const { weight, x, c, weightStrides, axes } = windows;
  const [[y], [across]] = axes as readonly [readonly [WindowAxis], readonly [WindowAxis]];
  const [, rows, height, width] = shape4(c);
  const input = paddedInput(runtime, { x, axes: [[tiles(y)], [tiles(across)]] });
  const { images, channels, layout } = input;
  const bound = boundEpilogue(runtime, epilogue, c);
  const { columns } = tileShape(runtime);
  const rowTiles = Math.ceil(width / 2);
  const panels = Math.ceil((Math.ceil(height / 2) * (rowTiles + 1) - 1) / columns);
  const segment = cutSummed(channels, { aStep: 0, bStep: 0 })[0]!.k;
  const weights = {
    from: runtime.pointer(weight),
    rowBytes: weightStrides.row * BYTES,
    channelBytes: weightStrides.channel * BYTES,
    ...{ rows, channels, isFlipped: y.tapIndexStep < 0 },
  };
  const weightsLayout = winogradWeightsLayout(weights);
  // A part's rows of tiles begin in another cache line than the next part's.
  const inputPart = segment * columns * BYTES + 64;
  const [inputPanel, sumsPanel] = [PARTS * inputPart, PARTS * rows * columns * BYTES];
  const mostPanels = [BLOCK_BYTES / (inputPanel + sumsPanel), channels / CHANNELS_PER_PANEL, (images * panels) / UNITS];
  const blockPanels = Math.max(1, Math.floor(Math.min(...mostPanels)));
  const blocks = Math.ceil(panels / blockPanels);
  const scratchBytes = roundUp(blockPanels * (inputPanel + sumsPanel), 64) + 64;
  const plane = height * width * BYTES;
  const form = {
    name: weights.isFlipped ? "winograd, flipped" : "winograd",
    bytes: weightsLayout.bytes,
    make: (to: number) => winogradWeights(runtime, weights, to),
  };
  const sum = (transformed: number): void =>
    withPadded(runtime, { input }, ({ from, first, count }) =>
      runtime.withScratch(runtime.threads * scratchBytes, (scratch) =>
        launchNamed(runtime, kernel(bound?.kind), {
          words: {
            ...{ from, imageBytes: channels * layout.plane, planeBytes: layout.plane, rowBytes: layout.row },
            ...{ phaseBytes: layout.phase, channels, segment },
            ...{ weights: transformed, weightRow: weightsLayout.row, weightPart: weightsLayout.part },
            ...{ rows, to: runtime.pointer(c) + first * rows * plane, toImage: rows * plane, toPlane: plane },
            ...{ height, width, rowTiles, panels, blockPanels, blocks },
            ...{ scratch, scratchBytes, inputPart, inputPanel, sumsPanel },
            ...epilogueWords(bound),
          },
          units: count * blocks,
          grain: Math.max(1, Math.floor(CHUNK_WORK / (PARTS * columns * blockPanels * channels * rows))),
        }),
      ),
    );
  const kept = runtime.keptForm(weight, form);
  if (kept !== undefined) sum(kept);
  else
    runtime.withScratch(form.bytes, (transformed) => {
      form.make(transformed);
      sum(transformed);
    });
}
