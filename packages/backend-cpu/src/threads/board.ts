import { MAX_ARGS, OWN_BYTES } from "../runtime.ts";

/**
 * The board: words of the shared memory through which the caller and its workers agree about launches that wait. Words
 * that different threads write lie 64 bytes apart.
 *
 * Launches are numbered from 0, and launch n lies in slot n mod `SLOTS`. A slot is *free*; the caller writes a launch into it
 * and counts `queued`: it *waits*; when `finished` is its number it *runs*; when `finished` is past it, it is free again.
 *
 * - One launch runs at a time, by all threads: each counts the slot's `taken` for a chunk, and `done` after it. Who does the
 *   last chunk counts `finished`, with which the next launch begins. So kernels see all that was queued before them, and
 *   memory may be handed on while kernels that read it still wait.
 * - The caller writes a slot again when it has seen `finished` past it, and then no worker that looks at it. A worker says
 *   at which slot it `looks`, and then sees whether `finished` is still the same, before it reads anything else. Of these
 *   two one comes first: either the caller sees the worker, or the worker sees that it is late.
 * - Who finds nothing to take waits for `queued` (nothing waits) or `finished` (others do the last chunks) to change. Before
 *   it sleeps it counts itself into `sleepers`, and `Atomics.wait` compares the word once more; who changes the word looks at
 *   `sleepers` after it. So no wake-up is lost.
 * - At the end the caller sets `stop`, and then changes both words; a worker looks at `stop` after it has read the word that it
 *   will wait on.
 * - After a failure chunks are only counted, no more run: the queue empties, and the caller hears of it.
 */
export const BOARD = {
  /** Launches finished, and queued; both wrap around at 2³¹. */
  finished: 0,
  queued: 16,
  /** Threads asleep on one of these. */
  sleepers: 32,
  /** Set when workers shall end. */
  stop: 48,
  /** Counts the workers that run. */
  started: 64,
  /** Set by the first worker that fails; the number of its kernel and its message follow, one character a word. */
  failed: 80,
  failedKernel: 81,
  messageLength: 82,
  message: 83,
  slots: 512,
} as const;

/** Words of a slot: number of the kernel, module bytes and their length, units, units per chunk, chunks; then those of the launch. */
export const SLOT = {
  kernel: 0,
  code: 1,
  codeLength: 2,
  units: 3,
  grain: 4,
  chunks: 5,
  /** Chunks taken, and done. */
  taken: 16,
  done: 17,
  args: 32,
} as const;

/**
 * Launches that may wait: some fifty milliseconds of a model's kernels, so that the caller changes rarely between preparing
 * launches and taking part in them, each of which finds its caches used by the other. A power of two.
 */
export const SLOTS = 256;
const SLOT_WORDS = SLOT.args + MAX_ARGS;
const LOOKS = BOARD.slots + SLOTS * SLOT_WORDS;
const LOOK_WORDS = 16;

export const slotOf = (launch: number): number => BOARD.slots + (launch & (SLOTS - 1)) * SLOT_WORDS;
/** Where a worker writes the slot that it looks at; 0 when it looks at none. */
export const lookOf = (thread: number): number => LOOKS + thread * LOOK_WORDS;
export const boardWords = (threads: number): number => lookOf(threads);

export interface WorkerSetup {
  readonly memory: WebAssembly.Memory;
  /** Address of the board. */
  readonly address: number;
  readonly words: number;
  readonly board: typeof BOARD;
  readonly slot: typeof SLOT;
  readonly slots: number;
  readonly slotWords: number;
  readonly longestMessage: number;
  /** Word of `lookOf`. */
  readonly look: number;
  /** 1 … threads − 1; the caller is 0. */
  readonly thread: number;
  /** Address of the thread's own memory. */
  readonly own: number;
  /** How long to watch for the next launch before going to sleep. */
  readonly spinMilliseconds: number;
}

/** A kernel's number and its code. */
export interface HandedKernel {
  readonly number: number;
  readonly module: WebAssembly.Module;
}

/** What worker `thread` of `threads` is told. */
export const setupFor = (
  { memory, address, own }: Pick<WorkerSetup, "memory" | "address" | "own">,
  { thread, threads }: { readonly thread: number; readonly threads: number },
): WorkerSetup => ({
  memory,
  address,
  words: boardWords(threads),
  board: BOARD,
  slot: SLOT,
  slots: SLOTS,
  slotWords: SLOT_WORDS,
  longestMessage: BOARD.slots - BOARD.message,
  look: lookOf(thread),
  thread,
  own: own + thread * OWN_BYTES,
  spinMilliseconds: WORKER_SPIN_MILLISECONDS,
});

// While a model runs, the next launch follows within this, and a worker that had to be woken would come too late for most of
// a short one: waking takes some 100 µs. Idle workers sleep.
const WORKER_SPIN_MILLISECONDS = 2;
// The caller waits for one chunk at most. A worker that takes longer may need the caller's core.
export const CALLER_SPIN_MILLISECONDS = 0.2;
