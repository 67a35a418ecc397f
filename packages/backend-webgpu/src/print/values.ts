import { type Expr, type Kernel, postorder } from "@dfine/tensor";
import { printConstant, printOperation } from "./operations.ts";

/** Where expressions are evaluated: how each walked operand's current element is addressed. */
export interface Site {
  /** Index expression of each operand's element, without its buffer. */
  readonly pointers: readonly string[];
}

/** Which storage binding each operand of a kernel uses; views of one buffer share one. */
export type Slots = readonly number[];

/** Element type of a storage binding: words where views of several dtypes share it. */
export function slotType(kernel: Kernel, slots: Slots, slot: number): "f32" | "i32" {
  return kernel.operands.every(({ dtype }, k) => slots[k] !== slot || dtype === "f32") ? "f32" : "i32";
}

/** Prints expressions of one kernel: one `let` per node. What does not vary along a row is computed once, before its loops. */
export class Values {
  readonly #kernel: Kernel;
  readonly #slots: Slots;
  readonly #loopAxes: ReadonlySet<number>;
  readonly #varying = new Map<Expr, boolean>();
  /** Names of nodes computed at row level. */
  readonly #rowNames = new Map<Expr, string>();
  #count = 0;

  constructor(kernel: Kernel, options: { slots: Slots; loopAxes: readonly number[] }) {
    this.#kernel = kernel;
    this.#slots = options.slots;
    this.#loopAxes = new Set(options.loopAxes);
  }

  /** Lines at row level for all that the roots need and that stands still along the row; `site` is the row's. */
  hoist(roots: readonly Expr[], site: Site): string[] {
    const lines: string[] = [];
    for (const e of postorder(roots)) {
      if (this.#varies(e) || this.#rowNames.has(e)) continue;
      this.#define(e, { site, names: this.#rowNames, lines });
    }
    return lines;
  }

  /** Lines that evaluate the roots at `site`, and their names. */
  evaluate(roots: readonly Expr[], site: Site): { lines: string[]; names: string[] } {
    const names = new Map(this.#rowNames);
    const lines: string[] = [];
    for (const e of postorder(roots)) if (!names.has(e)) this.#define(e, { site, names, lines });
    return { lines, names: roots.map((root) => names.get(root)!) };
  }

  /** An operand's element as a value of its dtype. */
  load(operand: number, pointer: string): string {
    const { dtype } = this.#kernel.operands[operand]!;
    const element = this.#element(operand, pointer);
    return dtype === "bool" ? `(${element} != 0i)` : this.#isWords(operand) ? `bitcast<f32>(${element})` : element;
  }

  /** Whether an f32 operand is bound as words. */
  #isWords(operand: number): boolean {
    const { dtype } = this.#kernel.operands[operand]!;
    return dtype === "f32" && slotType(this.#kernel, this.#slots, this.#slots[operand]!) === "i32";
  }

  /** The element of an operand in its binding. */
  #element(operand: number, pointer: string): string {
    return `b${this.#slots[operand]}[${pointer}]`;
  }

  /** A statement that stores a value of the operand's dtype. */
  store(operand: number, pointer: string, value: string): string {
    const { dtype } = this.#kernel.operands[operand]!;
    const word =
      dtype === "bool" ? `select(0i, 1i, ${value})` : this.#isWords(operand) ? `bitcast<i32>(${value})` : value;
    return `${this.#element(operand, pointer)} = ${word};`;
  }

  #define(e: Expr, { site, names, lines }: { site: Site; names: Map<Expr, string>; lines: string[] }): void {
    const leaf = leafName(e);
    if (leaf !== undefined) {
      names.set(e, leaf);
      return;
    }
    const args = e.args.map((arg) => names.get(arg)!);
    const name = `v${this.#count++}`;
    lines.push(`let ${name} = ${e.op === "load" ? this.#load(e, args, site) : printOperation(e, args)};`);
    names.set(e, name);
  }

  #load(e: Expr, [index]: readonly string[], site: Site): string {
    const k = e.value;
    const pointer = index === undefined ? site.pointers[k]! : `o${k} + clamp(${index}, 0i, max(l${k} - 1i, 0i))`;
    return this.load(k, pointer);
  }

  /** Whether a value may differ between two elements of a row, or between two moments. */
  #varies(e: Expr): boolean {
    const known = this.#varying.get(e);
    if (known !== undefined) return known;
    const varies = this.#moves(e) || e.args.some((arg) => this.#varies(arg));
    this.#varying.set(e, varies);
    return varies;
  }

  #moves(e: Expr): boolean {
    if (e.op === "axis") return this.#loopAxes.has(e.value);
    if (e.op !== "load") return false;
    const { mode, walk } = this.#kernel.operands[e.value]!;
    return (
      mode === "update" || (e.args.length === 0 && walk.some((w, axis) => w !== "still" && this.#loopAxes.has(axis)))
    );
  }
}

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
