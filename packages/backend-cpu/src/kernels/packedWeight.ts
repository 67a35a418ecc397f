import { roundUp, type View } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import { launchNamed, namedKernel, smaller } from "./args.ts";
import { type GemmSegment, longest } from "./gemmProblem.ts";
import { type PackKind, packColumns } from "./packColumns.ts";
import { tileShape } from "./tile.ts";

// The panels that `gemm.ts` else packs for each product: with 400 rows that takes 2 to 6 % of its time at twice the width,
// and the more the fewer rows there are. No part of a product, so no share of the ceiling.

const NAMES = ["source", "kStride", "columnStride", "kBytes", "n", "to"] as const;

/** Units are panels. */
const kernel = (kind: Exclude<PackKind, "runs">) =>
  namedKernel(`packWeight/${kind}`, NAMES, (f, arg) => {
    const width = tileShape(f.options).columns;
    const [unit, first, columns, limit, source, panels] = f.locals("i32", 6);
    const runs = { bTable: first, runLength: first, runPitch: first };
    f.i32(width).set(limit);
    f.for(unit, { from: f.begin, to: f.end }, () => {
      f.get(unit).i32(width).op("i32.mul").set(first);
      f.get(arg.n, first).op("i32.sub").set(columns);
      smaller(f, columns, limit).set(columns);
      f.get(arg.source, first, arg.columnStride).op("i32.mul", "i32.add").set(source);
      f.get(arg.to, first, arg.kBytes).op("i32.mul", "i32.add").set(panels);
      packColumns(f, kind, { ...arg, runs, source, first, columns, panels });
    });
  });

export interface PackedWeight {
  readonly view: View;
  readonly n: number;
  /** Bytes from k to k, and from column to column. */
  readonly strides: { readonly k: number; readonly column: number };
  readonly segments: readonly GemmSegment[];
}

/** Segments of a weight whose panels follow each other. */
export function packedSegments(
  runtime: CpuRuntime,
  { n, segments }: Pick<PackedWeight, "n" | "segments">,
): GemmSegment[] {
  const kBytes = roundUp(n, tileShape(runtime).columns) * 4;
  let b = 0;
  return segments.map((segment) => {
    b += segment.k * kBytes;
    return { ...segment, b: b - segment.k * kBytes };
  });
}

/** Address of a weight's panels, if they are kept. */
export function packedWeight(runtime: CpuRuntime, { view, n, strides, segments }: PackedWeight): number | undefined {
  const packed = packedSegments(runtime, { n, segments });
  const { columns } = tileShape(runtime);
  const k = segments.reduce((sum, segment) => sum + segment.k, 0);
  return runtime.keptForm(view, {
    name: "panels",
    bytes: k * roundUp(n, columns) * 4,
    make: (to) => {
      for (const [i, segment] of segments.entries())
        launchNamed(runtime, kernel(strides.k === 4 ? "columns" : "any"), {
          words: {
            ...{ source: runtime.pointer(view) + segment.b, kStride: strides.k, columnStride: strides.column },
            ...{ kBytes: segment.k * 4, n, to: to + packed[i]!.b },
          },
          units: Math.ceil(n / columns),
          grain: Math.ceil(CHUNK / (columns * longest(segments))),
        });
    },
  });
}

// Values that one chunk packs at least.
const CHUNK = 32768;
