import { type Buffer, sizeOf } from "@dfine/tensor";
import { type Kernel, type Launch, memo, type OverrideCall, roundUp } from "@dfine/tensor/kernel";
import type { CommandQueue } from "../commands/queue.ts";
import type { Shader } from "../commands/shader.ts";
import type { Limits } from "../device/workLimits.ts";
import type { Block, GpuBuffer } from "../memory/gpuBuffer.ts";
import type { Pool } from "../memory/pool.ts";
import { grid } from "../print/grid.ts";
import { spanOf } from "../print/packReads.ts";
import { FOLD_WORDS, foldShader, foldThreads, lanesFor, MOST_SUMS, SOURCE_BITS, WORDS } from "./foldShader.ts";

interface Place {
  readonly buffer: GpuBuffer;
  readonly offset: number;
}

/** to[column] = Σ from[column + part · partStep] over parts. */
export interface Fold {
  readonly from: Place;
  readonly to: Place;
  readonly columns: number;
  readonly parts: number;
  readonly partStep: number;
}

interface FoldsOptions {
  readonly queue: CommandQueue;
  readonly pool: Pick<Pool, "alloc" | "free">;
  readonly limits: Pick<Limits, "visits">;
  readonly maxBindings: number;
  readonly barriers: boolean;
  /** Runs what came before and waits too. */
  readonly before: () => void;
}

/** Bytes that wait to be freed at most. */
const MOST_WAITING = 2 ** 26;

/** Elements of a buffer of parts at most, unless one sum alone has more. */
const MOST_ROOM = 2 ** 22;
/** Elements to multiples of which parts are aligned. */
const ALIGNMENT = 4;

/** Elements from…last−1 of a block. */
interface Range {
  readonly first: number;
  readonly last: number;
}

/**
 * Sums of parts that wait until somebody reads them, or overwrites what they read: a backward pass has hundreds, small ones, of
 * weights whose products were cut along k and of biases, and nobody reads them before its end. So they become few dispatches.
 */
export class Folds {
  readonly #options: FoldsOptions;
  #waiting: Fold[] = [];
  readonly #sources = new Set<Block>();
  readonly #targets = new Map<Block, Range[]>();
  /** Freed while a sum still reads or writes them. */
  #freed: GpuBuffer[] = [];
  #freedBytes = 0;
  /** Buffers of parts; of the last one so many elements are taken. */
  #rooms: GpuBuffer[] = [];
  #taken = 0;
  /** Elements of all parts that wait, and of those that waited together before. */
  #asked = 0;
  #askedBefore = 0;
  #isOver = false;
  readonly #shaders = new Map<number, Shader>();
  readonly #words = new Int32Array(FOLD_WORDS);

  constructor(options: FoldsOptions) {
    this.#options = options;
  }

  /** Has a sum computed before anybody sees that it was not. */
  add(fold: Fold): void {
    const { from, to, columns } = fold;
    if (this.#targets.has(from.buffer.block) || this.#sources.has(to.buffer.block)) this.settle();
    this.#waiting.push(fold);
    this.#sources.add(from.buffer.block);
    memo(this.#targets, to.buffer.block, () => []).push({ first: to.offset, last: to.offset + columns });
    if (this.#isOver) this.settle();
  }

  /** To be called before a generated kernel runs. */
  beforeLaunch({ operands: own }: Kernel, { operands, sizes }: Launch): void {
    if (this.#waiting.length === 0) return;
    const isSeen = operands.some((operand, k) => {
      const { block } = operand.buffer as GpuBuffer;
      const { mode, indexed } = own[k]!;
      return (
        (mode !== "read" && this.#sources.has(block)) ||
        (this.#targets.has(block) && (mode !== "write" || this.#meets(block, spanOf(operand, sizes, indexed))))
      );
    });
    if (isSeen) this.settle();
  }

  /** To be called before a hand-written kernel runs. */
  beforeCall({ inputs, outputs }: OverrideCall<unknown>): void {
    if (this.#waiting.length === 0) return;
    const isRead = inputs.some(({ buffer }) => this.#targets.has((buffer as GpuBuffer).block));
    const isWritten = outputs.some(({ buffer, offset, shape }) => {
      const { block } = buffer as GpuBuffer;
      return this.#sources.has(block) || this.#meets(block, { first: offset, last: offset + sizeOf(shape) });
    });
    if (isRead || isWritten) this.settle();
  }

  /** Gives memory back, once no sum needs it. */
  free(buffer: Buffer): void {
    const own = buffer as GpuBuffer;
    if (!this.#sources.has(own.block) && !this.#targets.has(own.block)) {
      this.#options.pool.free(own);
      return;
    }
    this.#freed.push(own);
    this.#freedBytes += own.block.bytes;
    if (this.#freedBytes > MOST_WAITING) this.settle();
  }

  /** Room for the parts of a sum into `to`, which is added next: those of many lie in one buffer, so that a dispatch reads many. */
  room(length: number, to: GpuBuffer): Place {
    // Adding it must not compute what waits, for that gives the room back.
    if (this.#sources.has(to.block)) this.settle();
    const first = roundUp(this.#taken, ALIGNMENT);
    const own = this.#rooms.at(-1);
    this.#asked += length;
    this.#freedBytes += 4 * length;
    if (own && first + length <= own.length) {
      this.#taken = first + length;
      return { buffer: own, offset: first };
    }
    const buffer = this.#options.pool.alloc(
      Math.max(length, Math.min(this.#asked, MOST_ROOM), this.#askedBefore),
      "f32",
    );
    this.#rooms.push(buffer);
    this.#taken = length;
    return { buffer, offset: 0 };
  }

  /** Computes what waits. */
  settle(): void {
    this.#options.before();
    const waiting = this.#waiting;
    const freed = [...this.#freed, ...this.#rooms];
    if (this.#asked > 0) this.#askedBefore = Math.min(this.#asked, MOST_ROOM);
    this.#asked = 0;
    this.#rooms = [];
    this.#waiting = [];
    this.#freed = [];
    this.#freedBytes = 0;
    this.#sources.clear();
    this.#targets.clear();
    try {
      for (const folds of this.#shared(waiting)) this.#dispatch(folds);
    } finally {
      for (const buffer of freed) this.#options.pool.free(buffer);
    }
  }

  /** Has every sum computed at once from now on. */
  end(): void {
    this.settle();
    this.#isOver = true;
  }

  #meets(block: Block, { first, last }: Range): boolean {
    return this.#targets.get(block)?.some((range) => range.first < last && first < range.last) ?? false;
  }

  /** Those that share a dispatch: of and into few blocks, and short enough together. */
  *#shared(waiting: readonly Fold[]): Generator<readonly Fold[]> {
    const { limits, maxBindings } = this.#options;
    const byTarget = new Map<Block, Fold[]>();
    for (const fold of waiting) memo(byTarget, fold.to.buffer.block, () => []).push(fold);
    let some: Fold[] = [];
    const blocks = new Set<Block>();
    let visits = 0;
    for (const fold of [...byTarget.values()].flat().flatMap((whole) => cut(whole, limits.visits))) {
      const own = [fold.from.buffer.block, fold.to.buffer.block];
      const work = fold.columns * fold.parts;
      const bound = blocks.size + own.filter((block) => !blocks.has(block)).length;
      const isFull = some.length === MOST_SUMS || visits + work > limits.visits || bound > maxBindings;
      if (isFull && some.length > 0) {
        yield some;
        some = [];
        blocks.clear();
        visits = 0;
      }
      some.push(fold);
      for (const block of own) blocks.add(block);
      visits += work;
    }
    if (some.length > 0) yield some;
  }

  #dispatch(folds: readonly Fold[]): void {
    const { queue, barriers, maxBindings } = this.#options;
    const sources = [...new Set(folds.map(({ from }) => from.buffer.block))];
    const targets = [...new Set(folds.map(({ to }) => to.buffer.block))];
    // One kernel for one source and one for several: a block may be bound twice for reading.
    const bound = sources.length === 1 ? 1 : maxBindings - targets.length;
    const shader = memo(this.#shaders, maxBindings * bound + targets.length, () =>
      foldShader({ sources: bound, targets: targets.length }, barriers),
    );
    const words = this.#words.fill(0);
    let groups = 0;
    folds.forEach((fold, i) => {
      const { from, to, columns, parts, partStep } = fold;
      const lanes = lanesFor(fold, barriers);
      const blocks = sources.indexOf(from.buffer.block) + (targets.indexOf(to.buffer.block) << SOURCE_BITS);
      words.set([blocks, from.offset, to.offset, columns, parts, partStep, lanes, groups], WORDS * i);
      groups += Math.ceil(columns / (foldThreads(barriers) / lanes));
    });
    words[FOLD_WORDS - 1] = folds.length;
    const repeated = Array.from({ length: bound }, (_, i) => sources[i] ?? sources[0]!);
    queue.dispatch({
      shader,
      blocks: [...targets, ...repeated],
      words,
      workgroups: grid(groups),
      work: folds.reduce((sum, { columns, parts }) => sum + columns * parts, 0),
    });
  }
}

/** A long sum by pieces of its columns. */
function cut(fold: Fold, mostVisits: number): Fold[] {
  const most = Math.max(1, Math.floor(mostVisits / fold.parts));
  if (fold.columns <= most) return [fold];
  return Array.from({ length: Math.ceil(fold.columns / most) }, (_, i) => ({
    ...fold,
    from: { ...fold.from, offset: fold.from.offset + i * most },
    to: { ...fold.to, offset: fold.to.offset + i * most },
    columns: Math.min(most, fold.columns - i * most),
  }));
}
