import type { Expr } from "@dfine/tensor/kernel";
import type { Assembler, Local } from "../wasm/assembler.ts";
import type { Words } from "./launchWords.ts";
import type { Nest } from "./nest.ts";

/** Everything that printing one kernel shares. */
export interface Printing {
  readonly f: Assembler;
  readonly nest: Nest;
  readonly words: Words;
  /** Counter of each axis. */
  readonly index: readonly Local[];
  /** Bytes per step along an inner axis with a run-time stride, per operand and axis. */
  readonly strides: readonly ReadonlyMap<number, Local>[];
  /** Base address and last valid index of indexed operands. */
  readonly indexed: readonly ({ readonly base: Local; readonly length: Local } | undefined)[];
  /** Results of reduce stages: per group, or one for all. */
  readonly rows: (readonly Local[])[];
}

/** A place in the loop nest where code is printed. Every value is a vector; in a tail of width 1 only lane 0 counts. */
export interface Site {
  readonly depth: number;
  readonly width: 1 | 4;
  readonly groups: number;
  /** Address of each operand's element (of lane 0 of group 0). */
  readonly pointers: readonly Local[];
}

export const VECTOR_BYTES = 16;
export const ELEMENT_BYTES = 4;

export const factsOf = ({ nest }: Pick<Printing, "nest">, e: Expr) => nest.facts.get(e)!;
