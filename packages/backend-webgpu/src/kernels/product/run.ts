import { memo } from "@dfine/tensor/kernel";
import { directBody } from "../../swiftshader/direct.ts";
import { type Epilogue, epilogueBindings, epilogueName } from "../epilogue.ts";
import type { GpuRuntime } from "../runtime.ts";
import { type BufferView, type WgslKernel, wholeNumbers } from "../wgslKernel.ts";
import { inParts } from "./parts.ts";
import { type ProductShape, type ProductSizes, planProduct, shapeName, tileOf } from "./plan.ts";
import type { ProductSpec } from "./spec.ts";
import { tiledBody } from "./tiled.ts";

export interface ProductCall<B extends string> {
  readonly sizes: ProductSizes;
  readonly factors: Readonly<Record<B, BufferView>>;
  readonly c: BufferView;
  /** Whole numbers that the spec's code asks for. */
  readonly uniforms: Uniforms;
  /** Elements from row to row of C. */
  readonly cRow: number;
  /** Whether neighbours in memory are neighbours in k, and not rows or columns. */
  readonly alongK: { readonly a: boolean; readonly b: boolean };
  /** C fills its whole view without gaps, so that parts of k may be summed apart and folded. */
  readonly mayPart: boolean;
  /** Done to C's elements; the spec then tells the channels of rows. */
  readonly epilogue?: Epilogue | undefined;
}

type Uniforms = Readonly<Record<string, number>>;

const kernels = new Map<string, WgslKernel>();

function kernelFor(
  spec: ProductSpec,
  shape: ProductShape,
  { epilogue, uniforms }: { epilogue: Epilogue | undefined; uniforms: Uniforms },
): WgslKernel {
  const shares = shape.kind === "direct" && shape.shares;
  const name = `${spec.name}.${shapeName(shape)}${shares ? " shared" : ""}${epilogueName(epilogue)}`;
  return memo(kernels, name, () => {
    const bindings: Record<string, "read f32" | "write f32"> = { c: "write f32", ...epilogueBindings(epilogue) };
    for (const factor of spec.factors) bindings[factor] = "read f32";
    const body =
      shape.kind === "tiled" ? tiledBody(shape, { fastest: spec.fastest, epilogue }) : directBody(shape, epilogue);
    return {
      name,
      bindings,
      uniforms: wholeNumbers(uniforms),
      body: `${spec.code}\n${body}`,
      ...(shares ? { enable: ["subgroups"] } : {}),
    };
  });
}

/** Multiplications of one dispatch; more are split, so that no dispatch runs for seconds. */
const MOST_WORK = 2 ** 28;
const MOST_GROUPS = 65535;

/** Cuts a grid of workgroups into boxes that each do not take too long. */
function* boxes(
  grid: readonly [number, number, number],
  most: number,
): Generator<{ first: readonly [number, number, number]; count: readonly [number, number, number] }> {
  const step: number[] = [];
  let room = Math.max(1, most);
  for (const size of grid) {
    step.push(Math.min(size, MOST_GROUPS, Math.max(1, Math.floor(room))));
    room /= size;
  }
  const [sx, sy, sz] = step as [number, number, number];
  for (let z = 0; z < grid[2]; z += sz)
    for (let y = 0; y < grid[1]; y += sy)
      for (let x = 0; x < grid[0]; x += sx)
        yield {
          first: [x, y, z],
          count: [Math.min(sx, grid[0] - x), Math.min(sy, grid[1] - y), Math.min(sz, grid[2] - z)],
        };
}

/** Name of the kernel that `runProduct` would run. */
export const productVariant = (runtime: GpuRuntime, problem: { sizes: ProductSizes; mayPart: boolean }): string =>
  shapeName(planProduct(runtime, problem).shape);

/** Computes C, then its epilogue. Parts of k are folded in their order, so results are the same on every run. */
export function runProduct<B extends string>(runtime: GpuRuntime, spec: ProductSpec<B>, call: ProductCall<B>): void {
  const { sizes, factors, c: to, epilogue } = call;
  const { m, n, outer, inner, k, batch } = sizes;
  const length = m * n * batch;
  if (length === 0) return;
  const { shape, parts, partSize } = planProduct(runtime, call);
  const own = parts === 1 ? epilogue : undefined;
  const uniforms = {
    ...{ m, n, outer, inner, k, c_row: call.cRow },
    // k is cut into parts of `part_size` (outer indices of a direct kernel), whose results lie `c_part` apart.
    ...{ parts, part_size: partSize, c_part: length },
    // Workgroups of a dispatch start here.
    ...{ first_x: 0, first_y: 0, first_z: 0 },
    // Threads of a tiled kernel that load next to each other: along k (1), or along rows or columns (0).
    ...{ a_along_k: Number(call.alongK.a), b_along_k: Number(call.alongK.b) },
    ...call.uniforms,
  };
  const kernel = kernelFor(spec, shape, { epilogue: own, uniforms });
  const [rows, columns] = tileOf(shape);
  const groupWork = (rows * columns * k) / parts;
  const grid = [Math.ceil(m / rows), Math.ceil(n / columns), batch * parts] as const;
  inParts(runtime, { to, length, parts, epilogue, plane: n }, (c) => {
    for (const { first, count } of boxes(grid, MOST_WORK / groupWork)) {
      const [first_x, first_y, first_z] = first;
      runtime.dispatch(kernel, {
        views: { ...factors, ...own?.views, c },
        uniforms: { ...uniforms, first_x, first_y, first_z },
        workgroups: count,
        work: groupWork * count[0] * count[1] * count[2],
      });
    }
  });
}
