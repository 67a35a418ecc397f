import { noGrad, Random, readResults, tensor, withBackend } from "@dfine/tensor";
import { createImage, type RgbImage } from "../data/image.ts";
import { toInputs } from "../data/inputFit.ts";
import { inTurn } from "../deviceQueue.ts";
import type { DFine } from "../dfine.ts";
import { loadOptional } from "./optional.ts";

/** What of `onnxruntime-node` is used. */
interface OnnxRuntime {
  readonly InferenceSession: { create(file: Uint8Array): Promise<OnnxSession> };
  readonly Tensor: new (type: string, data: Float32Array | BigInt64Array, shape: readonly number[]) => unknown;
}
interface OnnxSession {
  run(feeds: Record<string, unknown>): Promise<Record<string, { readonly data: ArrayLike<number | bigint> }>>;
  release(): Promise<void>;
}

/** What is compared. */
export interface OnnxCheckOptions {
  /** Inputs [height, width]; default: the detector's. */
  readonly sizes?: readonly (readonly [number, number])[];
  /** Whether the file's outputs are detections: see `exportOnnx`. */
  readonly post?: boolean;
  /** Images of a batch, which are used over and over; default: drawn ones. */
  readonly images?: readonly RgbImage[];
}

/** What one run differed by: the largest |a − b| / (1 + |b|) of all numbers. */
export interface OnnxComparison {
  readonly size: readonly [number, number];
  readonly batch: number;
  readonly difference: number;
}

// A name that is not written out is neither looked for by compilers nor packed by bundlers.
const PACKAGE: string = "onnxruntime-node";
const BATCHES = [1, 3];
/** Agreement that is asked for. */
export const ALIKE = 1e-4;

/**
 * Runs an exported file in onnxruntime-node, with one image and with three, and compares it with the detector that it was
 * made of. Queries may come in another order, as equally good ones do. @throws MissingPackageError
 */
export async function checkOnnx(
  file: Uint8Array,
  detector: DFine,
  options: OnnxCheckOptions = {},
): Promise<OnnxComparison[]> {
  const runtime = await loadOptional(
    PACKAGE,
    "comparing an ONNX file",
    async () => (await import(/* webpackIgnore: true */ PACKAGE)) as OnnxRuntime,
  );
  const { sizes = [detector.size], post = false, images = drawnImages() } = options;
  const session = await runtime.InferenceSession.create(file);
  const found: OnnxComparison[] = [];
  try {
    for (const size of sizes)
      for (const batch of BATCHES) {
        const input = inputOf(detector, images, { size, batch });
        const feeds: { images: unknown; orig_target_sizes?: unknown } = {
          images: new runtime.Tensor("float32", input.images, input.shape),
        };
        if (post)
          feeds.orig_target_sizes = new runtime.Tensor("int64", BigInt64Array.from(input.origSizes.flat(), BigInt), [
            batch,
            2,
          ]);
        const theirs = await session.run(feeds);
        const ours = post ? await detections(detector, input) : await predictions(detector, input);
        const names = post ? ["labels", "scores", "boxes"] : ["logits", "boxes"];
        const numbers = names.map((name) => Float64Array.from(theirs[name]!.data, Number));
        if (post) inFrames(numbers[2]!, input.origSizes);
        const count = ours[0]!.length / batch / (post ? 1 : detector.names.length);
        found.push({ size, batch, difference: difference(numbers, ours, { batch, count }) });
      }
  } finally {
    await session.release();
  }
  return found;
}

type Input = ReturnType<typeof inputOf>;

function inputOf(
  { model }: DFine,
  images: readonly RgbImage[],
  { size, batch }: { size: readonly [number, number]; batch: number },
) {
  const { resize } = model.config;
  const [height, width] = size;
  const chosen = Array.from({ length: batch }, (_, i) => images[i % images.length]!);
  // The file takes images of one size.
  const input = toInputs(chosen, size, resize === "shortestEdge" ? "squeeze" : resize);
  // Boxes of the file are measured in the input's frame, which is the image's where it was squeezed.
  const origSizes = chosen.map((image) =>
    resize === "letterbox" ? ([width, height] as const) : ([image.width, image.height] as const),
  );
  return { ...input, origSizes, resize };
}

/** Logits and boxes of the detector. */
async function predictions({ model, backend }: DFine, { images, shape }: Input): Promise<ArrayLike<number>[]> {
  const { reading } = await inTurn(backend, () => {
    using deployed = withBackend(backend, () => model.deploy());
    const outputs = () => {
      const { logits, boxes } = noGrad(() => deployed.predictions(tensor(images, shape)));
      return [logits, boxes];
    };
    return { reading: readResults(backend, outputs) };
  });
  return await reading;
}

/** Labels, scores and boxes of the detector, those as parts of the image. */
async function detections(detector: DFine, input: Input): Promise<Float64Array[]> {
  const found = await detector.predictor(input);
  const joined = (pick: (one: (typeof found)[number]) => ArrayLike<number>) =>
    Float64Array.from(found.flatMap((one) => Array.from(pick(one))));
  const boxes = joined((one) => one.boxes);
  inFrames(boxes, input.origSizes);
  return [joined((one) => one.labels), joined((one) => one.scores), boxes];
}

/** Pixels as parts of each image's width and height. */
function inFrames(boxes: Float64Array, sizes: readonly (readonly [number, number])[]): void {
  const perImage = boxes.length / sizes.length;
  for (let i = 0; i < boxes.length; i++) boxes[i]! /= sizes[Math.floor(i / perImage)]![i % 2]!;
}

/** The largest difference, each row of ours beside that row of theirs in the same image which is most alike. */
export function difference(
  theirs: readonly ArrayLike<number>[],
  ours: readonly ArrayLike<number>[],
  { batch, count }: { batch: number; count: number },
): number {
  if (ours.some(({ length }, k) => length !== theirs[k]!.length)) return Number.POSITIVE_INFINITY;
  const between = (a: number, b: number): number => {
    let worst = 0;
    for (const [k, own] of ours.entries()) {
      const width = own.length / (batch * count);
      for (let i = 0; i < width; i++) {
        const [x, y] = [own[a * width + i]!, theirs[k]![b * width + i]!];
        const apart = Math.abs(x - y) / (1 + Math.abs(x));
        // NaN is no agreement.
        if (!(apart <= worst)) worst = Number.isNaN(apart) ? Number.POSITIVE_INFINITY : apart;
      }
    }
    return worst;
  };
  let worst = 0;
  for (let image = 0; image < batch; image++) {
    const free = new Set(Array.from({ length: count }, (_, i) => image * count + i));
    for (let i = image * count; i < (image + 1) * count; i++) {
      let [best, least] = [i, free.has(i) ? between(i, i) : Number.POSITIVE_INFINITY];
      if (least > ALIKE)
        for (const other of free) {
          const apart = between(i, other);
          if (apart < least) [best, least] = [other, apart];
        }
      free.delete(best);
      worst = Math.max(worst, least);
    }
  }
  return worst;
}

/** Three pictures of coloured rectangles: something to find, from nowhere. */
function drawnImages(): RgbImage[] {
  const random = new Random(0);
  const whole = (below: number): number => Math.floor(random.uniform() * below);
  return [0, 1, 2].map(() => {
    const image = createImage(640, 480);
    for (let n = 0; n < 60; n++) {
      const [left, top] = [whole(640), whole(480)];
      const [right, bottom] = [Math.min(640, left + 8 + whole(200)), Math.min(480, top + 8 + whole(160))];
      const color = [whole(256), whole(256), whole(256)];
      for (let y = top; y < bottom; y++)
        for (let x = left; x < right; x++) image.data.set(color, 3 * (y * image.width + x));
    }
    return image;
  });
}
