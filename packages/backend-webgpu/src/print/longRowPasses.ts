import { sizeOf } from "@dfine/tensor";
import {
  type Alike,
  type Binding,
  type Expr,
  type Kernel,
  type Launch,
  load,
  makeProgram,
  type Operand,
  plan,
  postorder,
  type ReduceStage,
  readOperand,
  rewrite,
  row,
  type StoreStage,
  updateOperand,
  type Write,
  writeOperand,
} from "@dfine/tensor/kernel";

/** Workgroups that share a row. */
export const PARTS = 16;

/** What a pass binds: an operand of the kernel; or a part's results, or all parts' (−1), of one of its reductions. */
type Source = { readonly operand: number } | { readonly reduce: number; readonly part: number };

export interface Pass extends Alike, Pick<Launch, "sizes"> {
  readonly kernel: Kernel;
  readonly bound: readonly (Source & Pick<Binding, "strides">)[];
}

/** Makes the passes of a kernel. */
export class Parting {
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
