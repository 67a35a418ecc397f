import { sizeOf } from "@dfine/tensor";
import {
  type Alike,
  axesOf,
  type Binding,
  type Expr,
  type Kernel,
  type Launch,
  load,
  loadsIn,
  makeProgram,
  memo,
  type Operand,
  plan,
  postorder,
  type ReduceStage,
  readOperand,
  rewrite,
  row,
  type StoreStage,
  scatters,
  stageExpressions,
  updateOperand,
  type Write,
  writeOperand,
} from "@dfine/tensor/kernel";
import type { GpuBuffer } from "../memory/gpuBuffer.ts";
import type { Pool } from "../memory/pool.ts";
import type { Launcher } from "./launch.ts";

/** Workgroups that share a row. */
const PARTS = 16;
/** Elements of a row from which on they do, where rows are fewer than what keeps a GPU busy. */
const LONG = 1 << 15;

interface LongRowsOptions {
  readonly launcher: Launcher;
  readonly pool: Pick<Pool, "alloc" | "free">;
  readonly busyGroups: number;
}

/** What a pass binds: an operand of the kernel; or a part's results, or all parts' (−1), of one of its reductions. */
type Source = { readonly operand: number } | { readonly reduce: number; readonly part: number };

interface Pass extends Alike, Pick<Launch, "sizes"> {
  readonly kernel: Kernel;
  readonly bound: readonly (Source & Pick<Binding, "strides">)[];
}

/** A kernel as passes over many workgroups. */
interface Passes {
  readonly passes: readonly Pass[];
  readonly rows: number;
  readonly reduces: number;
}

/**
 * Runs few long rows by many workgroups: what reductions give for each part of the rows goes to memory, a pass for those that need
 * no other's result; then the parts are folded in their order, once for each row; then elements are stored. Batch norm is such a
 * kernel, with its activation and what else is joined with it.
 */
export function longRows({ launcher, pool, busyGroups }: LongRowsOptions): Launcher {
  const known = new WeakMap<object, { readonly passes: Passes | undefined }>();
  const find = (kernel: Kernel, launch: Launch): Passes | undefined => {
    const { alike } = launch;
    return alike && memo(known, alike, () => ({ passes: passesOf(kernel, launch, busyGroups) })).passes;
  };
  const each = ({ passes, rows, reduces }: Passes, launch: Launch, use: (pass: Pass, part: Launch) => void): void => {
    // For each reduction its parts, and behind them what they are together.
    const results = Array.from({ length: reduces }, () => pool.alloc((PARTS + 1) * rows, "f32"));
    for (const pass of passes) use(pass, bindPass(pass, launch, { results, rows }));
    for (const buffer of results) pool.free(buffer);
  };
  return {
    run(kernel, launch) {
      const passes = find(kernel, launch);
      if (passes) each(passes, launch, (pass, part) => launcher.run(pass.kernel, part));
      else launcher.run(kernel, launch);
    },
    orderOf(kernel, launch) {
      const passes = find(kernel, launch);
      if (!passes) return launcher.orderOf(kernel, launch);
      const orders: string[] = [];
      each(passes, launch, (pass, part) => {
        const rows = axesOf(pass.kernel, "reduce").map((axis) => `${part.sizes[axis]} at ${furthest(part, axis)}`);
        const results = writtenBy(pass);
        for (const [i, order] of launcher.orderOf(pass.kernel, part).entries())
          orders[results[i]!] = `parts of ${rows}, ${order}`;
      });
      return orders;
    },
  };
}

/** The reductions whose parts a pass writes. */
const writtenBy = ({ kernel, bound }: Pass): number[] =>
  bound.flatMap((source, i) => ("reduce" in source && kernel.operands[i]!.mode !== "read" ? [source.reduce] : []));

/** The longest step along an axis. */
const furthest = ({ operands }: Launch, axis: number): number =>
  operands.reduce((most, { strides }) => Math.max(most, Math.abs(strides[axis]!)), 0);

function bindPass(
  pass: Pass,
  { operands, params }: Launch,
  { results, rows }: { results: readonly GpuBuffer[]; rows: number },
): Launch {
  const bind = (source: Pass["bound"][number]): Binding => {
    const { strides } = source;
    if ("operand" in source) {
      const { buffer, offset, length } = operands[source.operand]!;
      return { buffer, offset, strides, length };
    }
    const offset = (source.part < 0 ? PARTS : source.part) * rows;
    const buffer = results[source.reduce]!;
    return { buffer, offset, strides, length: buffer.length - offset };
  };
  return { sizes: pass.sizes, operands: pass.bound.map(bind), params, alike: pass };
}

function passesOf(kernel: Kernel, { sizes, operands }: Launch, busyGroups: number): Passes | undefined {
  const { axes, stages } = kernel;
  const reduces = stages.filter((stage): stage is ReduceStage => stage.kind === "reduce");
  const stores = stages.filter((stage): stage is StoreStage => stage.kind === "store");
  const size = (kind: "map" | "reduce"): number => sizeOf(sizes.filter((_, axis) => axes[axis] === kind));
  const [rows, length] = [size("map"), size("reduce")];
  if (rows >= busyGroups || length < LONG || reduces.length === 0 || !mayPart(kernel, { reduces, stores }))
    return undefined;
  const cut = sizes.reduce((best, n, axis) => {
    const isBetter = axes[axis] === "reduce" && n % PARTS === 0 && n > (sizes[best] ?? 0);
    return isBetter ? axis : best;
  }, -1);
  if (cut < 0) return undefined;
  return {
    passes: new Parting(kernel, { sizes, operands, cut }).passes(reduces, stores),
    rows,
    reduces: reduces.length,
  };
}

/** Whether all reductions are float sums that come before all stores, and no store needs what is overwritten once per row before. */
function mayPart(
  kernel: Kernel,
  { reduces, stores }: { reduces: readonly ReduceStage[]; stores: readonly StoreStage[] },
): boolean {
  const { stages, operands } = kernel;
  const each = stores.filter(({ perRow }) => !perRow);
  const once = stores.filter(({ perRow }) => perRow);
  const usesAxes = postorder(stages.flatMap(stageExpressions)).some(({ op }) => op === "axis");
  const isOrdered = stages.slice(0, reduces.length).every(({ kind }) => kind === "reduce");
  const areSums = reduces.every(({ op, expr }) => op === "sum" && expr.dtype === "f32");
  const isPlain = !usesAxes && !scatters(kernel) && operands.every(({ indexed }) => !indexed);
  const sees = (store: StoreStage, before: readonly StoreStage[]): boolean => {
    const loads = loadsIn(stageExpressions(store));
    return before.some(({ writes }) => writes.some(({ operand }) => loads.has(operand)));
  };
  const seesRows = each.some((store) => sees(store, once)) || once.some((store, i) => sees(store, once.slice(0, i)));
  return isOrdered && areSums && isPlain && each.length === 1 && !seesRows;
}

/** Makes the passes of a kernel. */
class Parting {
  readonly #kernel: Kernel;
  readonly #sizes: readonly number[];
  readonly #operands: readonly Binding[];
  readonly #cut: number;
  readonly #map: readonly number[];
  readonly #reduced: readonly number[];

  constructor(kernel: Kernel, { sizes, operands, cut }: Pick<Launch, "sizes" | "operands"> & { cut: number }) {
    this.#kernel = kernel;
    this.#sizes = sizes;
    this.#operands = operands;
    this.#cut = cut;
    const of = (kind: "map" | "reduce") => sizes.flatMap((_, axis) => (kernel.axes[axis] === kind ? [axis] : []));
    this.#map = of("map");
    this.#reduced = of("reduce");
  }

  passes(reduces: readonly ReduceStage[], stores: readonly StoreStage[]): Pass[] {
    const level = (e: Expr): number =>
      Math.max(-1, ...postorder([e]).flatMap(({ op, value }) => (op === "row" ? [levels[value]!] : []))) + 1;
    const levels: number[] = [];
    for (const { expr } of reduces) levels.push(level(expr));
    const folds = [...new Set(levels)]
      .sort((a, b) => a - b)
      .map((at) =>
        this.#fold(
          reduces,
          levels.flatMap((own, i) => (own === at ? [i] : [])),
        ),
      );
    const writes = (isPerRow: boolean): Write[] =>
      stores.flatMap((store) => (store.perRow === isPerRow ? store.writes : []));
    return [...folds, this.#total(writes(true), reduces.length), this.#store(writes(false))];
  }

  /** Sums of parts of the rows, of reductions that need none of each other's results. */
  #fold(reduces: readonly ReduceStage[], own: readonly number[]): Pass {
    const inner = this.#sizes[this.#cut]! / PARTS;
    const bound = new Bound(this.#kernel.operands, (source) => {
      if ("reduce" in source) return [0, ...this.#rowStrides(), ...this.#reduced.map(() => 0)];
      const { strides } = this.#operands[source.operand]!;
      return [strides[this.#cut]! * inner, ...this.#along(strides, this.#map), ...this.#along(strides, this.#reduced)];
    });
    const stages = own.map((i): ReduceStage => ({ ...reduces[i]!, expr: bound.read(reduces[i]!.expr) }));
    const writes = own.map((i, k) => {
      const strides = [this.#rows(), ...this.#rowStrides(), ...this.#reduced.map(() => 0)];
      return { operand: bound.write({ reduce: i, part: 0 }, strides), expr: row(k) };
    });
    return this.#pass("parts", bound, {
      stages: [...stages, { kind: "store", perRow: true, writes }],
      mapSizes: [PARTS, ...this.#along(this.#sizes, this.#map)],
      reduceSizes: this.#reduced.map((axis) => (axis === this.#cut ? inner : this.#sizes[axis]!)),
    });
  }

  /** Folds the parts, and stores what is stored once per row. */
  #total(once: readonly Write[], reduces: number): Pass {
    const bound = new Bound(this.#kernel.operands, (source) =>
      "reduce" in source ? this.#rowStrides() : this.#along(this.#operands[source.operand]!.strides, this.#map),
    );
    const values = once.map(({ operand, expr }) => ({ operand, expr: bound.read(expr) }));
    const totals = Array.from({ length: reduces }, (_, i) => bound.read(row(i)));
    const writes = [
      ...values.map(({ operand, expr }) => ({ operand: bound.write({ operand }), expr })),
      ...totals.map((expr, reduce) => ({ operand: bound.write({ reduce, part: -1 }), expr })),
    ];
    return this.#pass("rows", bound, {
      stages: [{ kind: "store", perRow: false, writes }],
      mapSizes: this.#along(this.#sizes, this.#map),
      reduceSizes: [],
    });
  }

  #store(each: readonly Write[]): Pass {
    const order = [...this.#map, ...this.#reduced];
    const bound = new Bound(
      this.#kernel.operands,
      (source) =>
        "reduce" in source
          ? [...this.#rowStrides(), ...this.#reduced.map(() => 0)]
          : this.#along(this.#operands[source.operand]!.strides, order),
      true,
    );
    const values = each.map(({ operand, expr }) => ({ operand, expr: bound.read(expr) }));
    const writes = values.map(({ operand, expr }) => ({ operand: bound.write({ operand }), expr }));
    return this.#pass("elements", bound, {
      stages: [{ kind: "store", perRow: false, writes }],
      mapSizes: this.#along(this.#sizes, order),
      reduceSizes: [],
    });
  }

  #pass(
    name: string,
    bound: Bound,
    { stages, ...layout }: Pick<Kernel, "stages"> & { mapSizes: readonly number[]; reduceSizes: readonly number[] },
  ): Pass {
    const { name: own, params } = this.#kernel;
    const program = makeProgram(`${own}, ${name}`, { operands: bound.operands, params, stages });
    const { kernel, sizes, strides } = plan(program, { ...layout, strides: bound.strides });
    return { kernel, sizes, bound: bound.sources.map((source, i) => ({ ...source, strides: strides[i]! })) };
  }

  #along = (list: readonly number[], axes: readonly number[]): number[] => axes.map((axis) => list[axis]!);
  #rows = (): number => sizeOf(this.#along(this.#sizes, this.#map));
  #rowStrides(): number[] {
    const sizes = this.#along(this.#sizes, this.#map);
    return sizes.map((_, i) => sizeOf(sizes.slice(i + 1)));
  }
}

const isSame = (a: Source, b: Source): boolean =>
  "operand" in a
    ? "operand" in b && a.operand === b.operand
    : "reduce" in b && a.reduce === b.reduce && a.part === b.part;

/** The operands of a pass, in the order in which they are first asked for. */
class Bound {
  readonly sources: Source[] = [];
  readonly strides: (readonly number[])[] = [];
  readonly operands: Pick<Operand, "dtype" | "mode" | "indexed">[] = [];
  readonly #of: Kernel["operands"];
  readonly #stridesOf: (source: Source) => readonly number[];
  readonly #isTotal: boolean;

  /** `isTotal`: rows' results were folded before. */
  constructor(of: Kernel["operands"], stridesOf: (source: Source) => readonly number[], isTotal = false) {
    this.#of = of;
    this.#stridesOf = stridesOf;
    this.#isTotal = isTotal;
  }

  /** An expression of this pass's operands. */
  read(expr: Expr): Expr {
    return rewrite(expr, (e) => {
      if (e.op === "load") return load(this.#find({ operand: e.value }), e.dtype);
      if (e.op !== "row") return undefined;
      const parts = this.#isTotal ? [-1] : Array.from({ length: PARTS }, (_, part) => part);
      return parts.map((part) => load(this.#find({ reduce: e.value, part }))).reduce((a, b) => a.add(b));
    });
  }

  /** The number of an operand that is written. */
  write(source: Source, strides = this.#stridesOf(source)): number {
    const known = this.#position(source);
    if (known >= 0) {
      this.operands[known] = updateOperand(this.operands[known]!.dtype);
      return known;
    }
    return this.#push(source, { strides, operand: writeOperand(this.#dtypeOf(source)) });
  }

  #find(source: Source): number {
    const known = this.#position(source);
    if (known >= 0) return known;
    return this.#push(source, { strides: this.#stridesOf(source), operand: readOperand(this.#dtypeOf(source)) });
  }

  #position = (source: Source): number => this.sources.findIndex((own) => isSame(own, source));
  #dtypeOf = (source: Source) => ("operand" in source ? this.#of[source.operand]!.dtype : ("f32" as const));

  #push(
    source: Source,
    { strides, operand }: { strides: readonly number[]; operand: Bound["operands"][number] },
  ): number {
    this.strides.push(strides);
    this.operands.push(operand);
    return this.sources.push(source) - 1;
  }
}
