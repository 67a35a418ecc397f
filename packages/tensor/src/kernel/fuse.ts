import { sameShape } from "../shape.ts";
import { type Expr, load, loadsIn, param, postorder, rewrite, row } from "./expr.ts";
import { COSTLY } from "./exprOps.ts";
import type { AccessMode, ReduceStage, Write } from "./kernel.ts";
import { stageExpressions } from "./kernel.ts";
import type { Laid } from "./laid.ts";
import { makeProgram, type Program, type ProgramOperand } from "./program.ts";

/** Operands of one kernel at most: text and bindings stay small. */
const MOST_OPERANDS = 16;

/** Two programs as one, the second after the first. */
export interface Fused {
  readonly laid: Laid;
  /** Which operands of the second one are none of the first: they follow those. */
  readonly added: readonly number[];
}

/**
 * Joins programs over one shape into one: what the second reads of the first it does not read from memory. `shared` tells which
 * operand of the first is each of the second, the same elements in the same order; −1: none. Undefined where they cannot be
 * joined, or should not: what is costly is not computed anew in each pass along a row, unless the caller `repeats` it rather than
 * start another kernel.
 */
export function fuse(
  first: Laid,
  second: Laid,
  { shared, repeats = false }: { shared: readonly number[]; repeats?: boolean },
): Fused | undefined {
  if (!sameShape(first.shape, second.shape) || !mayJoin(first, second)) return undefined;
  const count = first.program.operands.length;
  const added = shared.flatMap((own, i) => (own < 0 ? [i] : []));
  const operands = [...first.program.operands, ...added.map((i) => second.program.operands[i]!)];
  if (operands.length > MOST_OPERANDS) return undefined;
  const place = shared.map((own, i) => (own < 0 ? count + added.indexOf(i) : own));
  const joined = new Joined();
  joined.append(first.program, (operand) => operand);
  if (!repeats && second.reduced.length > 0 && [...joined.written.values()].some(({ expr }) => isCostly(expr)))
    return undefined;
  joined.append(second.program, (operand) => place[operand]!);
  return {
    laid: {
      program: joined.program(`${first.program.name}+${second.program.name}`, operands),
      shape: first.shape,
      reduced: first.reduced.length > 0 ? first.reduced : second.reduced,
      strides: [...first.strides, ...added.map((i) => second.strides[i]!)],
    },
    added,
  };
}

/** Whether rows are the same where both have some, and no program asks where it is. */
function mayJoin(first: Laid, second: Laid): boolean {
  const isPlain = ({ usesAxes, operands }: Program): boolean => !usesAxes && operands.every(({ indexed }) => !indexed);
  const areRowsAlike =
    first.reduced.length === 0 || second.reduced.length === 0 || sameShape(first.reduced, second.reduced);
  return areRowsAlike && isPlain(first.program) && isPlain(second.program);
}

const isCostly = (e: Expr): boolean => postorder([e]).some(({ op }) => COSTLY.has(op));

/** Programs one after the other as reductions and, after all of them, one store: every value in terms of what was there before. */
class Joined {
  readonly #reduces: ReduceStage[] = [];
  /** The value of each operand that was written. */
  readonly written = new Map<number, Omit<Write, "operand"> & { readonly perRow: boolean }>();
  readonly #params: Program["params"][number][] = [];

  append({ stages, params }: Program, placeOf: (operand: number) => number): void {
    const [firstRow, firstParam] = [this.#reduces.length, this.#params.length];
    this.#params.push(...params);
    const own = (expr: Expr): Expr =>
      rewrite(expr, (e) => {
        if (e.op === "load") return this.written.get(placeOf(e.value))?.expr ?? load(placeOf(e.value), e.dtype);
        if (e.op === "row") return row(firstRow + e.value, e.dtype);
        return e.op === "param" ? param(firstParam + e.value, e.dtype) : undefined;
      });
    for (const stage of stages) {
      if (stage.kind === "reduce") this.#reduces.push({ ...stage, expr: own(stage.expr) });
      else {
        const values = stage.writes.map(({ operand, expr }) => ({ operand: placeOf(operand), expr: own(expr) }));
        for (const { operand, expr } of values) this.written.set(operand, { expr, perRow: stage.perRow });
      }
    }
  }

  program(name: string, operands: readonly ProgramOperand[]): Program {
    const writes = (isPerRow: boolean): Write[] =>
      [...this.written].flatMap(([operand, { expr, perRow }]) => (perRow === isPerRow ? [{ operand, expr }] : []));
    const stores = [true, false].map((perRow) => ({ kind: "store" as const, perRow, writes: writes(perRow) }));
    const stages = [...this.#reduces, ...stores.filter((store) => store.writes.length > 0)];
    const read = loadsIn(stages.flatMap(stageExpressions));
    const modeOf = (operand: number): AccessMode =>
      !this.written.has(operand) ? "read" : read.has(operand) ? "update" : "write";
    return makeProgram(name, {
      operands: operands.map((operand, i) => ({ ...operand, mode: modeOf(i) })),
      params: this.#params,
      stages,
    });
  }
}
