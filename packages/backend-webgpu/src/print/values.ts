import type { Dtype } from "@dfine/tensor";
import { type Expr, type Kernel, memo, postorder } from "@dfine/tensor/kernel";
import { typeOf, type Width } from "./library.ts";
import { printConstant, printOperation } from "./operations.ts";
import { type Slots, type Storage, storageOf } from "./storage.ts";

/** Where expressions are evaluated. */
export interface Site {
  /** Index of each walked operand's current element in its buffer; the first of four at width 4. */
  readonly pointers: readonly string[];
  /** Elements along the innermost axis that are evaluated together. */
  readonly width: Width;
}

/** A node's text and how many values it has. */
interface Named {
  readonly text: string;
  readonly width: Width;
}

/**
 * Prints expressions of one kernel: one `let` per node. What does not vary along a row is computed once, before its loops;
 * what does not vary along the innermost axis, once for four elements.
 */
export class Values {
  readonly storage: Storage;
  readonly #kernel: Kernel;
  /** The axis taken in fours. */
  readonly #innermost: number | undefined;
  /** Whether a value may differ between two elements of a row, or between two moments. */
  readonly #varies: (e: Expr) => boolean;
  /** Whether a value may differ along the innermost axis. */
  readonly #isWide: (e: Expr) => boolean;
  /** Nodes computed at row level. */
  readonly #rowNames = new Map<Expr, Named>();
  #count = 0;

  constructor(
    kernel: Kernel,
    { slots, loopAxes, innermost }: { slots: Slots; loopAxes: readonly number[]; innermost: number | undefined },
  ) {
    this.#kernel = kernel;
    this.storage = storageOf(kernel, slots);
    this.#innermost = innermost;
    const isUpdated = (e: Expr): boolean => e.op === "load" && kernel.operands[e.value]!.mode === "update";
    this.#varies = anyWithin((e) => isUpdated(e) || movesAlong(kernel, e, loopAxes));
    this.#isWide = anyWithin((e) => innermost !== undefined && movesAlong(kernel, e, [innermost]));
  }

  /** Lines at row level for all that the roots need and that stands still along the row; the pointers are the row's. */
  hoist(roots: readonly Expr[], pointers: readonly string[]): string[] {
    const lines: string[] = [];
    for (const e of postorder(roots)) {
      if (this.#varies(e) || this.#rowNames.has(e)) continue;
      this.#define(e, { site: { pointers, width: 1 }, names: this.#rowNames, lines });
    }
    return lines;
  }

  /** Lines that evaluate the roots at `site`, and their names, as wide as the site. */
  evaluate(roots: readonly Expr[], site: Site): { lines: string[]; names: string[] } {
    const names = new Map(this.#rowNames);
    const lines: string[] = [];
    for (const e of postorder(roots)) if (!names.has(e)) this.#define(e, { site, names, lines });
    return { lines, names: roots.map((root) => widen(names.get(root)!, root.dtype, site.width)) };
  }

  /** How far an operand moves from one element of the innermost axis to the next. */
  step(operand: number): string {
    const walk = this.#innermost === undefined ? "still" : this.#kernel.operands[operand]!.walk[this.#innermost]!;
    return walk === "unit" ? "1i" : walk === "still" ? "0i" : `s${operand}_${this.#innermost}`;
  }

  #define(e: Expr, { site, names, lines }: { site: Site; names: Map<Expr, Named>; lines: string[] }): void {
    const width = site.width === 4 && this.#isWide(e) ? 4 : 1;
    const leaf = leafName(e);
    if (leaf !== undefined) {
      names.set(e, { text: width === 1 ? leaf : `(${leaf} + vec4<i32>(0i, 1i, 2i, 3i))`, width });
      return;
    }
    const args = e.args.map((arg) => widen(names.get(arg)!, arg.dtype, width));
    const name = `v${this.#count++}`;
    const text = e.op === "load" ? this.#load(e, args[0], { site, width }) : printOperation(e, args, width);
    lines.push(`let ${name} = ${text};`);
    names.set(e, { text: name, width });
  }

  #load(e: Expr, index: string | undefined, { site, width }: { site: Site; width: Width }): string {
    const k = e.value;
    if (index === undefined) {
      const pointer = site.pointers[k]!;
      return width === 1 ? this.storage.load(k, pointer) : this.storage.loadFour(k, pointer, this.step(k));
    }
    const place = (i: string): string => `o${k} + clamp(${i}, 0i, max(l${k} - 1i, 0i))`;
    if (width === 1) return this.storage.load(k, place(index));
    return this.storage.gather(
      k,
      [0, 1, 2, 3].map((c) => place(`${index}[${c}]`)),
    );
  }
}

/** Whether a test holds for an expression or for anything that it is made of. */
function anyWithin(test: (e: Expr) => boolean): (e: Expr) => boolean {
  const known = new Map<Expr, boolean>();
  const holds = (e: Expr): boolean => memo(known, e, () => test(e) || e.args.some(holds));
  return holds;
}

/** Whether a node by itself differs from step to step along one of the axes. */
function movesAlong({ operands }: Kernel, e: Expr, axes: readonly number[]): boolean {
  if (e.op === "axis") return axes.includes(e.value);
  return e.op === "load" && e.args.length === 0 && axes.some((axis) => operands[e.value]!.walk[axis] !== "still");
}

const widen = ({ text, width }: Named, dtype: Dtype, to: Width): string =>
  width === to ? text : `${typeOf(dtype, to)}(${text})`;

function leafName(e: Expr): string | undefined {
  switch (e.op) {
    case "const":
      return printConstant(e.value, e.dtype);
    case "param":
      return e.dtype === "bool" ? `(c${e.value} != 0i)` : `c${e.value}`;
    case "axis":
      return `i${e.value}`;
    case "row":
      return `r${e.value}`;
    default:
      return undefined;
  }
}
