import { type Epilogue, memo } from "@dfine/tensor/kernel";
import { directBody } from "../../swiftshader/direct.ts";
import { epilogueBindings, epilogueViews } from "../epilogue.ts";
import type { GpuRuntime } from "../runtime.ts";
import { type BindingType, type BufferView, type WgslKernel, wholeNumbers } from "../wgslKernel.ts";
import { boxes } from "./boxes.ts";
import { inParts } from "./parts.ts";
import { classOf, type Plan, type PlannedProduct, type ProductSizes, planProduct } from "./plan.ts";
import { liesFor, type ProductShape, shapeName, tileOf } from "./shapes.ts";
import { shuffledBody } from "./shuffled.ts";
import { type Lie, type Lies, liesName, type ProductSpec, type Side, specCode, startsInFours } from "./spec.ts";
import { tiledBody } from "./tiled.ts";

export interface ProductCall<B extends string = string> {
  readonly sizes: ProductSizes;
  readonly factors: Readonly<Record<B, BufferView>>;
  readonly c: BufferView;
  /** Whole numbers that the spec's code asks for. */
  readonly uniforms: Uniforms;
  /** Elements from row to row of C. */
  readonly cRow: number;
  /** How the factors lie, wherever their views start. */
  readonly lies: Readonly<Record<Side, Lie>>;
  /** Of four neighbours in memory in C, from every fourth on, none is missing: along columns, or along rows where `cRow` is 1. */
  readonly cInFours: boolean;
  /** C fills its whole view without gaps, so that parts of k may be summed apart and folded. */
  readonly mayPart: boolean;
  /** Done to C's elements; the spec then tells the channels of rows. */
  readonly epilogue?: Epilogue | undefined;
}

type Uniforms = Readonly<Record<string, number>>;
type Binding = `${"read" | "write"} ${BindingType}`;

const kernels = new Map<string, WgslKernel>();

interface KernelParts {
  readonly spec: ProductSpec;
  readonly shape: ProductShape;
  readonly lies: Lies;
  readonly epilogue: Epilogue | undefined;
}

function nameOf({ spec, shape, lies, epilogue }: KernelParts): string {
  const memory = shape.kind !== "direct" ? `, ${liesName(lies)}` : shape.shares ? " shared" : "";
  return `${spec.name}.${shapeName(shape)}${memory}${epilogue?.name ?? ""}`;
}

function bodyOf(parts: KernelParts): string {
  const { shape, epilogue } = parts;
  switch (shape.kind) {
    case "tiled":
      return tiledBody(shape, parts);
    case "shuffled":
      return shuffledBody(shape, parts);
    case "direct":
      return directBody(shape, epilogue);
    default:
      shape satisfies never;
      throw new Error("unreachable: unknown kind of product");
  }
}

/** WGSL extensions that a shape needs. */
function extensionsOf(shape: ProductShape): string[] {
  if (shape.kind === "tiled") return shape.operands === "f16" ? ["f16"] : [];
  return shape.kind === "shuffled" || shape.shares ? ["subgroups"] : [];
}

function kernelFor(parts: KernelParts, uniforms: Uniforms): WgslKernel {
  const { spec, shape, lies, epilogue } = parts;
  const name = nameOf(parts);
  return memo(kernels, name, () => {
    const [a, b] = spec.factors;
    const read = ({ inFours }: Lie): Binding => (inFours ? "read vec4f" : "read f32");
    const bindings: Record<string, Binding> = {
      ...{ c: lies.c === "singly" ? "write f32" : "write vec4f", ...epilogueBindings(epilogue) },
      ...{ [a]: read(lies.a), [b]: read(lies.b) },
    };
    return {
      ...{ name, bindings, uniforms: wholeNumbers(uniforms) },
      body: `${specCode(spec, lies)}\n${bodyOf(parts)}`,
      enable: extensionsOf(shape),
    };
  });
}

const startingAt = (lie: Lie, view: BufferView, isAddressed: boolean): Lie => ({
  ...lie,
  inFours: lie.inFours && isAddressed && startsInFours(view),
});

/** How a product's memory lies, with where its views start. */
function liesOf<B extends string>(spec: ProductSpec<B>, call: ProductCall<B>): Lies {
  const [a, b] = spec.factors;
  return {
    a: startingAt(call.lies.a, call.factors[a], spec.addressed.includes("a")),
    b: startingAt(call.lies.b, call.factors[b], spec.addressed.includes("b")),
    c: !call.cInFours ? "singly" : call.cRow === 1 ? "rows" : "columns",
  };
}

function planOf({ tuning, products }: GpuRuntime, product: PlannedProduct): Plan {
  const choice = products.choiceOf(classOf(product));
  return planProduct(products.device, product, { busyGroups: tuning.busyGroups, choice });
}

/** Name of the kernel that `runProduct` would run. */
export const productVariant = (runtime: GpuRuntime, product: PlannedProduct): string =>
  shapeName(planOf(runtime, product).shape);

/** Computes C, then its epilogue. Parts of k are folded in their order, so results are the same on every run. */
export function runProduct<B extends string>(runtime: GpuRuntime, spec: ProductSpec<B>, call: ProductCall<B>): void {
  const { sizes, mayPart, factors, c } = call;
  if (sizes.m * sizes.n * sizes.batch === 0) return;
  const lies = liesOf(spec, call);
  const product = { op: spec.name, sizes, mayPart, lies };
  runtime.products.onProduct?.({
    ...{ product, factors, c },
    run: (on, views) => runProduct(on, spec, { ...call, ...views, epilogue: undefined }),
  });
  runPlanned(runtime, spec, { call, plan: planOf(runtime, product), lies });
}

function runPlanned<B extends string>(
  runtime: GpuRuntime,
  spec: ProductSpec<B>,
  { call, plan, lies }: { call: ProductCall<B>; plan: Plan; lies: Lies },
): void {
  const { sizes, factors, c: to, epilogue } = call;
  const { m, n, outer, inner, k, batch } = sizes;
  const { shape, parts, partSize } = plan;
  const length = m * n * batch;
  const own = parts === 1 ? epilogue : undefined;
  const uniforms = {
    ...{ m, n, outer, inner, k, c_row: call.cRow },
    // k is cut into parts of `part_size` (outer indices of a direct kernel), whose results lie `c_part` apart.
    ...{ parts, part_size: partSize, c_part: length },
    // Workgroups of a dispatch start here.
    ...{ first_x: 0, first_y: 0, first_z: 0 },
    ...call.uniforms,
  };
  const [rows, columns] = tileOf(shape);
  const groupWork = (rows * columns * k) / parts;
  const grid = [Math.ceil(m / rows), Math.ceil(n / columns), batch * parts] as const;
  inParts(runtime, { to, length, parts, epilogue, plane: n }, (c) => {
    const used = liesFor(shape, { ...lies, c: startsInFours(c) ? lies.c : "singly" });
    const kernel = kernelFor({ spec, shape, lies: used, epilogue: own }, uniforms);
    for (const { first, count } of boxes(grid, runtime.limits.products / groupWork)) {
      const [first_x, first_y, first_z] = first;
      runtime.dispatch(kernel, {
        views: { ...factors, ...epilogueViews(own), c },
        uniforms: { ...uniforms, first_x, first_y, first_z },
        workgroups: count,
        work: runtime.limits.asVisits(groupWork * count[0] * count[1] * count[2]),
      });
    }
  });
}
