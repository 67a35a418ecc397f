import type { Conv2dWeightGradAttrs } from "@dfine/tensor";
import { convKind, type Override, type Shape4, shape4, type View } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import { depthwiseWeightGrad } from "./depthwiseWeightGrad.ts";
import { type GemmSegment, gemm } from "./gemm.ts";
import { type Axis, forwardAxis, tapOffsets } from "./paddedAxes.ts";
import { paddedInput, withPadded } from "./paddedInput.ts";
import { sumPartials } from "./sumPartials.ts";
import { withTables } from "./tables.ts";

const BYTES = 4;

export const conv2dWeightGradOverride = (runtime: CpuRuntime): Override<Conv2dWeightGradAttrs> => ({
  select: ([dy, x], attrs) => convKind(attrs, weightShape(attrs, dy!, x!)),
  run({ variant, inputs, outputs, attrs }) {
    const operands = { dy: inputs[0]!, x: inputs[1]!, dw: outputs[0]! };
    if (variant === "depthwise") perChannel(runtime, { ...operands, attrs });
    else windows(runtime, { ...operands, attrs });
  },
});

const weightShape = ({ groups, kernelSize }: Conv2dWeightGradAttrs, dy: View, x: View): Shape4 => [
  dy.shape[1]!,
  x.shape[1]! / groups,
  ...kernelSize,
];

interface Operands {
  readonly dy: View;
  readonly x: View;
  readonly dw: View;
  readonly attrs: Conv2dWeightGradAttrs;
}

// Pixels summed at a time, whole rows of them: dy's panels for these stay in cache.
const SEGMENT_PIXELS = 512;
// Partial sums enough to share out the work when the weight itself is small.
const PARTS = 16;

/** Stretches of whole output rows, image by image. */
function pixelSegments(
  { images, ho, wo }: { images: number; ho: number; wo: number },
  { xImage, xRow, yImage }: { xImage: number; xRow: number; yImage: number },
): GemmSegment[] {
  const rows = Math.max(1, Math.min(ho, Math.floor(SEGMENT_PIXELS / wo)));
  return Array.from({ length: images }, (_, image) =>
    Array.from({ length: Math.ceil(ho / rows) }, (_, i) => ({
      a: image * xImage + i * rows * xRow,
      b: image * yImage + i * rows * wo * BYTES,
      k: Math.min(rows, ho - i * rows) * wo,
    })),
  ).flat();
}

/**
 * dWᵀ [Ci·kh·kw, Co] as a product: row (ci, ky, kx) is the padded input seen through that tap, pixel by pixel; columns are
 * dy. A fixed number of partial sums, each over a run of segments, is added up in order.
 */
function windows(runtime: CpuRuntime, { dy, x, dw, attrs }: Operands): void {
  const [images, co, ho, wo] = shape4(dy);
  const [, channels, height, width] = shape4(x);
  const [, ci, kh, kw] = shape4(dw);
  const { groups, stride } = attrs;
  // Single values are read, so strides need no phases: only the outputs' reach counts.
  const axis = (side: 0 | 1): Axis => {
    const [kernel, outputs] = side === 0 ? [kh, ho] : [kw, wo];
    return forwardAxis({ ...attrs, stride: [1, 1] }, { side, kernel, outputs: (outputs - 1) * stride[side] + 1 });
  };
  const axes = [axis(0), axis(1)] as const;
  const source = { from: runtime.pointer(x), images, channels, size: [height, width] } as const;
  const input = paddedInput(source, axes, true);
  const { layout } = input;
  const outputs = co / groups;
  const m = ci * kh * kw;
  const offsets = tapOffsets(axes, layout);
  const rowOffsets = Array.from({ length: ci }, (_, c) => offsets.map((offset) => c * layout.plane + offset)).flat();
  const xRow = stride[0] * layout.row;
  const segments = pixelSegments(
    { images, ho, wo },
    { xImage: channels * layout.plane, xRow, yImage: co * ho * wo * BYTES },
  );
  const longest = segments[0]!.k;
  const pixelOffsets = Int32Array.from(
    { length: longest },
    (_, i) => Math.floor(i / wo) * xRow + (i % wo) * stride[1] * BYTES,
  );
  const parts = Math.min(
    segments.length,
    Math.max(1, Math.ceil(PARTS / (Math.ceil(m / 80) * Math.ceil(outputs / 64)))),
  );
  const [py, pw] = [runtime.pointer(dy), runtime.pointer(dw)];
  const partBytes = m * outputs * BYTES;

  withPadded(runtime, { input, isAtOnce: true }, ({ from }) =>
    withTables(runtime, [rowOffsets, pixelOffsets], ([rows, k]) =>
      runtime.withScratch(groups * parts * partBytes, (partials) => {
        gemm(runtime, {
          m,
          n: outputs,
          batches: Array.from({ length: groups * parts }, (_, i) => {
            const [group, part] = [Math.floor(i / parts), i % parts];
            const border = (p: number): number => Math.floor((p * segments.length) / parts);
            return {
              a: from + group * ci * layout.plane,
              b: py + group * outputs * ho * wo * BYTES,
              c: partials + i * partBytes,
              segments: [border(part), border(part + 1)] as const,
            };
          }),
          segments,
          rows: { kind: "tables", rows: rows!, k: k! },
          bStrides: [BYTES, ho * wo * BYTES],
          cPitch: outputs * BYTES,
        });
        sumPartials(runtime, { from: partials, to: pw, groups, parts, rows: m, columns: outputs });
      }),
    ),
  );
}

function perChannel(runtime: CpuRuntime, { dy, x, dw, attrs }: Operands): void {
  const [images, channels, ho, wo] = shape4(dy);
  const [, , height, width] = shape4(x);
  const [, , kh, kw] = shape4(dw);
  const axes = [
    forwardAxis(attrs, { side: 0, kernel: kh, outputs: ho }),
    forwardAxis(attrs, { side: 1, kernel: kw, outputs: wo }),
  ] as const;
  const source = { from: runtime.pointer(x), images, channels, size: [height, width] } as const;
  const input = paddedInput(source, axes, wo % 4 === 0);
  const { layout } = input;
  withPadded(runtime, { input, isAtOnce: true }, ({ from }) =>
    depthwiseWeightGrad(runtime, {
      dy: runtime.pointer(dy),
      from,
      planeBytes: layout.plane,
      rowBytes: layout.row,
      taps: tapOffsets(axes, layout),
      images,
      channels,
      to: runtime.pointer(dw),
      outputs: [ho, wo],
    }),
  );
}
