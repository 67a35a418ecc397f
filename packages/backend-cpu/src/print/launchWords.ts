import { type Binding, type Launch, scatters, wordOf } from "@dfine/tensor/kernel";
import type { Nest } from "./nest.ts";

const BYTES = 4;

/**
 * Where the words of a launch lie. Row counters run through the row axes and then, with lanes along a map axis, through
 * the blocks of that axis.
 */
export interface Words {
  readonly count: number;
  /** Sizes of the row counters, outermost first. */
  readonly counters: readonly number[];
  /** Size of each inner axis, by axis; the vector axis too. */
  readonly size: ReadonlyMap<number, number>;
  /** Elements per block of the vector axis; undefined without blocks. */
  readonly block: number | undefined;
  readonly operands: readonly OperandWords[];
  readonly params: readonly number[];
}

export interface OperandWords {
  readonly base: number;
  /** Elements that may be touched by index. */
  readonly length: number | undefined;
  /** Per row counter: bytes to its next value, and bytes to there after all counters inside it ran out. Undefined when nothing moves. */
  readonly counters: readonly { readonly stride: number; readonly advance: number }[] | undefined;
  /** Bytes to the next element along an inner axis, where that is not known. */
  readonly stride: ReadonlyMap<number, number>;
}

export function makeWords({ kernel, lanes, vectorAxis, rowAxes, innerAxes }: Nest): Words {
  let count = 0;
  const next = (): number => count++;
  const blocked = lanes === "map" && vectorAxis !== undefined;
  const counterAxes = blocked ? [...rowAxes, vectorAxis] : rowAxes;
  const loops = blocked ? [vectorAxis, ...innerAxes] : innerAxes;
  const counters = counterAxes.map(next);
  const size = new Map(loops.map((axis) => [axis, next()]));
  const block = blocked ? next() : undefined;
  const operands = kernel.operands.map(({ walk, indexed }): OperandWords => {
    const moves = counterAxes.some((axis) => walk[axis] !== "still");
    return {
      base: next(),
      length: indexed ? next() : undefined,
      counters: moves ? counterAxes.map(() => ({ stride: next(), advance: next() })) : undefined,
      stride: new Map(loops.flatMap((axis) => (walk[axis] === "stride" ? [[axis, next()]] : []))),
    };
  });
  const params = kernel.params.map(next);
  return { count, counters, size, block, operands, params };
}

/** The words of launches that have the same sizes and strides, and how these are cut. */
export interface LaunchWords {
  /** Room for all words of a launch; those that sizes and strides decide are there. */
  readonly words: Int32Array;
  readonly units: number;
  readonly grain: number;
}

// About 10 µs of work: enough to pay for handing it to another thread.
const CHUNK_WORK = 1 << 15;
const BLOCK_STEP = 64;

/** The words that sizes and strides decide; they alone decide units and chunks too. */
export function layoutWords(
  { nest, words, weight }: { readonly nest: Nest; readonly words: Words; readonly weight: number },
  { sizes, operands }: Launch,
): LaunchWords {
  const { kernel, vectorAxis, rowAxes, innerAxes } = nest;
  const into = new Int32Array(words.count);
  const inOrder = scatters(kernel);
  let folded = weight;
  for (const axis of innerAxes) folded *= Math.max(1, sizes[axis]!);
  for (const [axis, word] of words.size) into[word] = sizes[axis]!;

  const rows = rowAxes.length;
  for (let m = 0; m < rows; m++) into[words.counters[m]!] = sizes[rowAxes[m]!]!;
  let unitWork = folded;
  let block = 0;
  if (words.block !== undefined) {
    const n = sizes[vectorAxis!]!;
    block =
      inOrder || n * folded <= CHUNK_WORK
        ? Math.max(n, 1)
        : Math.max(BLOCK_STEP, Math.floor(CHUNK_WORK / folded / BLOCK_STEP) * BLOCK_STEP);
    into[words.block] = block;
    into[words.counters[rows]!] = Math.ceil(n / block);
    unitWork *= Math.min(block, n);
  }
  let units = 1;
  for (const word of words.counters) units *= into[word]!;

  for (const [k, { strides }] of operands.entries()) {
    const own = words.operands[k]!;
    for (const [axis, word] of own.stride) into[word] = strides[axis]! * BYTES;
    if (!own.counters) continue;
    let wound = 0;
    for (let m = own.counters.length - 1; m >= 0; m--) {
      const stride = (m < rows ? strides[rowAxes[m]!]! : strides[vectorAxis!]! * block) * BYTES;
      const { stride: strideWord, advance } = own.counters[m]!;
      into[strideWord] = stride;
      into[advance] = stride - wound;
      wound += stride * (into[words.counters[m]!]! - 1);
    }
  }
  const grain = inOrder ? Math.max(units, 1) : Math.max(1, Math.floor(CHUNK_WORK / Math.max(unitWork, 1)));
  return { words: into, units, grain };
}

/** Writes the words that sizes and strides leave open: addresses, lengths, numbers. */
export function launchWords(
  { nest: { kernel }, words }: { readonly nest: Nest; readonly words: Words },
  { launch: { operands, params }, pointer }: { readonly launch: Launch; pointer(binding: Binding): number },
  into: Int32Array,
): void {
  for (let k = 0; k < operands.length; k++) {
    const { base, length } = words.operands[k]!;
    into[base] = pointer(operands[k]!);
    if (length !== undefined) into[length] = operands[k]!.length;
  }
  for (let i = 0; i < params.length; i++) into[words.params[i]!] = wordOf(params[i]!, kernel.params[i]!);
}
