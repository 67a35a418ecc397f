import type { Dtype } from "@dfine/tensor";
import { type Expr, type Kernel, leafName, memo, postorder } from "@dfine/tensor/kernel";
import { typeOf, type Width } from "./library.ts";
import { printConstant, printOperation } from "./operations.ts";
import type { Pointers } from "./pointers.ts";
import { type Slots, storageOf } from "./storage.ts";

/** Where expressions are evaluated. */
export interface Site {
  /** Index of each walked operand's current element in its buffer; the first of four at width 4. */
  readonly pointers: Pointers;
  /** Elements along the innermost axis that are evaluated together. */
  readonly width: Width;
}

/** A node's text and how many values it has. */
interface Named {
  readonly text: string;
  readonly width: Width;
}

export type Values = ReturnType<typeof valuesOf>;

/**
 * Prints expressions of one kernel: one `let` per node. What does not vary along a row is computed once, before its loops;
 * what does not vary along `innermost`, the axis taken in fours, once for four elements.
 */
export function valuesOf(
  kernel: Kernel,
  { slots, loopAxes, innermost }: { slots: Slots; loopAxes: readonly number[]; innermost: number | undefined },
) {
  const storage = storageOf(kernel, slots);
  const isUpdated = (e: Expr): boolean => e.op === "load" && kernel.operands[e.value]!.mode === "update";
  /** Whether a value may differ between two elements of a row, or between two moments. */
  const varies = anyWithin((e) => isUpdated(e) || movesAlong(kernel, e, loopAxes));
  /** Whether a value may differ along the innermost axis. */
  const isWide = anyWithin((e) => innermost !== undefined && movesAlong(kernel, e, [innermost]));
  /** Nodes computed at row level. */
  const rowNames = new Map<Expr, Named>();
  let count = 0;

  /** How far an operand moves from one element of the innermost axis to the next. */
  const step = (operand: number): string => {
    const walk = innermost === undefined ? "still" : kernel.operands[operand]!.walk[innermost]!;
    return walk === "unit" ? "1i" : walk === "still" ? "0i" : `s${operand}_${innermost}`;
  };

  const load = (k: number, index: string | undefined, { pointers, width }: Site): string => {
    if (index === undefined) {
      const pointer = pointers[k]!;
      return width === 1 ? storage.load(k, pointer) : storage.loadFour(k, pointer, step(k));
    }
    const place = (i: string): string => `o${k} + clamp(${i}, 0i, max(l${k} - 1i, 0i))`;
    if (width === 1) return storage.load(k, place(index));
    return storage.gather(k, (c) => place(`${index}[${c}]`));
  };

  const define = (e: Expr, { site, names, lines }: { site: Site; names: Map<Expr, Named>; lines: string[] }): void => {
    const width = site.width === 4 && isWide(e) ? 4 : 1;
    const leaf = leafText(e);
    if (leaf !== undefined) {
      names.set(e, { text: width === 1 ? leaf : `(${leaf} + vec4<i32>(0i, 1i, 2i, 3i))`, width });
      return;
    }
    const args = e.args.map((arg) => widen(names.get(arg)!, arg.dtype, width));
    const name = `v${count++}`;
    const text = e.op === "load" ? load(e.value, args[0], { ...site, width }) : printOperation(e, args, width);
    lines.push(`let ${name} = ${text};`);
    names.set(e, { text: name, width });
  };

  return {
    storage,
    step,

    /** Lines at row level for all that the roots need and that stands still along the row; the pointers are the row's. */
    hoist(roots: readonly Expr[], pointers: Pointers): string[] {
      const lines: string[] = [];
      for (const e of postorder(roots)) {
        if (varies(e) || rowNames.has(e)) continue;
        define(e, { site: { pointers, width: 1 }, names: rowNames, lines });
      }
      return lines;
    },

    /** Lines that evaluate the roots at `site`, and their names, as wide as the site. */
    evaluate(roots: readonly Expr[], site: Site): { lines: string[]; names: string[] } {
      const names = new Map(rowNames);
      const lines: string[] = [];
      for (const e of postorder(roots)) if (!names.has(e)) define(e, { site, names, lines });
      return { lines, names: roots.map((root) => widen(names.get(root)!, root.dtype, site.width)) };
    },
  };
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

function leafText(e: Expr): string | undefined {
  if (e.op === "const") return printConstant(e.value, e.dtype);
  const name = leafName(e);
  return e.op === "param" && e.dtype === "bool" ? `(${name} != 0i)` : name;
}
