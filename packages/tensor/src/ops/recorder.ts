import type { Expr } from "../kernel/expr.ts";
import type { Stage } from "../kernel/kernel.ts";
import { runtime, withRuntime } from "../runtime.ts";
import type { Tensor } from "../tensor.ts";
import type { EngineOps } from "./attrs.ts";

/** What ops are told that make elements or move them, by op name. Their shapes are those of the outputs. */
export interface LayoutOps {
  /** The same elements in row-major order. */
  reshape: Record<never, never>;
  /** Output axis i is input axis `axes[i]`. */
  permute: { readonly axes: readonly number[] };
  /** Repeats axes of size 1, and new leading axes. */
  expand: Record<never, never>;
  /** Where each axis starts, and its steps. */
  slice: { readonly starts: readonly number[]; readonly steps: readonly number[] };
  concat: { readonly axis: number };
  /** Consecutive pieces. */
  split: { readonly axis: number };
  /** Widths are top, left, bottom, right. */
  pad2d: { readonly widths: readonly [number, number, number, number]; readonly value: number };
  upsampleNearest: { readonly scale: number };
  arange: { readonly start: number; readonly step: number };
}

/** Every op of the engine that has attributes. */
export type AttributeOps = EngineOps & LayoutOps;

interface Call {
  readonly name: string;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
}

/** An elementwise op: `result` is a formula of the inputs (`load`) and of `numbers` (`param`). */
export interface MapCall extends Call {
  readonly kind: "map";
  readonly numbers: readonly number[];
  readonly result: Expr;
}

/** An op along rows, which lie along `axes`. The last of `numbers` is the count of elements in a row. */
export interface RowCall extends Call {
  readonly kind: "row";
  readonly numbers: readonly number[];
  readonly axes: readonly number[];
  readonly stages: readonly Stage[];
}

/** An op with attributes. Its name is one of `AttributeOps`, unless it was defined elsewhere. */
export interface AttributeCall extends Call {
  readonly kind: "op";
  readonly attrs: object;
}

/** A call of an op, as who records calls sees it: what other ops ran for it is not told. */
export type OpCall = MapCall | RowCall | AttributeCall;

/** Tells who records, if anyone does. */
export const tell = (call: OpCall): void => runtime.recorder?.see(call);

/** Tells of a call of a layout op. */
export function tellLayout<Name extends keyof LayoutOps>(
  name: Name,
  attrs: LayoutOps[Name],
  call: Omit<Call, "name">,
): void {
  if (runtime.recorder) tell({ kind: "op", name, attrs, ...call });
}

/** Runs what an op is made of, of which nobody is told. */
export const unrecorded = <T>(body: () => T): T =>
  runtime.recorder ? withRuntime({ recorder: undefined }, body) : body();

/** What is recorded. */
export interface RecordOptions {
  /** Called for each op, after it ran. Its tensors may be freed when this returns. */
  readonly see: (call: OpCall) => void;
  /** Whether what follows from sizes is computed by ops, and not looked up: default false. */
  readonly anySize?: boolean;
}

/** Runs `body`, and tells of each op that it calls, in order. @throws OwnershipError when `body` waits */
export const recordCalls = <T>(body: () => T, { see, anySize = false }: RecordOptions): T =>
  withRuntime({ recorder: { see: see as (call: object) => void, anySize } }, body);

/** Whether calls are recorded that are to fit any size. */
export const recordsAnySize = (): boolean => runtime.recorder?.anySize === true;
