import { roundUp, type View, wordOf } from "@dfine/tensor/kernel";
import type { Assembler, Local } from "../wasm/assembler.ts";
import { divide } from "./args.ts";
import type { Rows } from "./attentionPanels.ts";
import { STEP } from "./attentionRows.ts";
import { cutSummed, longest } from "./gemmProblem.ts";

const STRIDES = ["Image", "Head", "Row"] as const;
type Placed<Name extends string> = Name | `${Name}${(typeof STRIDES)[number]}`;

/** Words that say where tensors [B, H, rows, columns] are: address, and bytes from image to image, head to head, row to row. */
export const placed = <Name extends string>(...names: readonly Name[]): Placed<Name>[] =>
  names.flatMap((name) => [name, ...STRIDES.map((axis) => `${name}${axis}` as const)]);

/** Those words. */
export const placeWords = <Name extends string>(views: Readonly<Record<Name, View>>) =>
  Object.fromEntries(
    Object.entries<View>(views).flatMap(([name, view]) => [
      [name, view],
      ...STRIDES.map((axis, i) => [`${name}${axis}`, view.strides[i]! * 4]),
    ]),
  ) as Record<Placed<Name>, View | number>;

/** A view [B, rows, H, columns] as [B, H, rows, columns]. */
export function byHead(view: View): View {
  const [b, rows, heads, columns] = view.shape as [number, number, number, number];
  const [toImage, toRow, toHead, toColumn] = view.strides as [number, number, number, number];
  return { ...view, shape: [b, heads, rows, columns], strides: [toImage, toHead, toRow, toColumn] };
}

/** The head that a unit is of. */
export interface Head {
  readonly image: Local;
  readonly head: Local;
}

export function findHead(f: Assembler, unit: Local, heads: Local): Head {
  const [image, head] = f.locals("i32", 2);
  divide(f, [unit, heads], { quotient: image, remainder: head });
  return { image, head };
}

/** Finds a head's rows from `first` on, of which there are `count`. */
export function rowsOf<Name extends string>(
  f: Assembler,
  arg: Readonly<Record<Placed<Name>, Local>>,
  { name, image, head, first, count, start }: Head & { name: Name; first?: Local; count: Local; start: Local },
): Rows {
  const word = (axis: (typeof STRIDES)[number]): Local => arg[`${name}${axis}`];
  f.get(arg[name], image, word("Image")).op("i32.mul", "i32.add").get(head, word("Head")).op("i32.mul", "i32.add");
  if (first) f.get(first, word("Row")).op("i32.mul", "i32.add");
  f.set(start);
  return { start, pitch: word("Row"), count };
}

/** Words of a launch that say how large things are. */
export const SIZE_NAMES = [
  ...(["heads", "queries", "keys", "depthBytes", "valueBytes", "keyBytes"] as const),
  ...(["run", "block", "pitch", "scale", "scratch", "scratchBytes"] as const),
] as const;

/** Queries whose weights lie in a core's second-level cache, a multiple of either tile's rows. */
const BLOCK = 60;

/** Sizes of q [B, H, L, D], k [B, H, S, D], v [B, H, S, E]; those that are words under their names. */
export function attentionSizes([q, , v]: readonly View[], scale: number) {
  const [images, heads, queries, depth] = q!.shape as [number, number, number, number];
  const [, , keys, values] = v!.shape as [number, number, number, number];
  return {
    ...{ images, heads, queries, keys, depth, values },
    ...{ depthBytes: depth * 4, valueBytes: values * 4, keyBytes: keys * 4 },
    run: longest(cutSummed(keys, { aStep: 0, bStep: 0 })) * 4,
    block: BLOCK,
    // An odd number of cache lines, so that rows do not push each other out of the cache.
    pitch: (Math.ceil(keys / STEP) | 1) * STEP * 4,
    scale: wordOf(scale, "f32"),
  };
}

/** Room for panels of so many columns and k. */
export const panelFloats = (columns: number, k: number): number => roundUp(columns, STEP) * k;

/** Cuts a thread's scratch memory into pieces of so many floats: their offsets by name, and the bytes of all. */
export function scratchPieces<Name extends string>(pieces: Readonly<Record<Name, number>>) {
  let end = 0;
  const offsets = Object.entries<number>(pieces).map(([name, floats]) => {
    const at = end;
    end += roundUp(floats * 4, 64);
    return [name, at];
  });
  return { offsets: Object.fromEntries(offsets) as Record<Name, number>, scratchBytes: end };
}

/** Makes addresses of the running thread's pieces of their offsets. */
export function placePieces<Name extends string>(
  f: Assembler,
  arg: Readonly<Record<Name | "scratch" | "scratchBytes", Local>>,
  names: readonly Name[],
): void {
  f.get(arg.scratch, arg.scratchBytes).thread().op("i32.mul", "i32.add").set(arg.scratch);
  for (const name of names) f.get(arg.scratch, arg[name]).op("i32.add").set(arg[name]);
}
