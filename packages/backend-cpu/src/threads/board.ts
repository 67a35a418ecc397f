/**
 * The job board: words of the shared memory through which the caller and its workers agree. Words that different threads
 * write lie 64 bytes apart. A job is readable while `open` is set; a worker counts itself into `active` before it
 * looks, and the caller clears `open` and waits for `active` to fall to 0 before it writes the next one.
 */
export const BOARD = {
  /** Counts jobs; what idle workers watch. */
  sequence: 0,
  open: 16,
  active: 32,
  /** The next chunk to take. */
  next: 48,
  /** Workers asleep on `sequence`. */
  sleepers: 64,
  /** Set while the caller sleeps on `active`. */
  callerWaits: 80,
  /** Set when workers shall end. */
  stop: 96,
  /** The job: number of its kernel, module bytes and their length, launch words, units, units per chunk, chunks. */
  kernel: 112,
  code: 113,
  codeLength: 114,
  args: 115,
  units: 116,
  grain: 117,
  chunks: 118,
  /** Counts the workers that run. */
  started: 119,
  /** Set by the first worker that fails; its message follows, one character a word. */
  failed: 128,
  messageLength: 129,
  message: 130,
} as const;

export const BOARD_WORDS = 512;
const LONGEST_MESSAGE = BOARD_WORDS - BOARD.message;

export interface WorkerSetup {
  readonly memory: WebAssembly.Memory;
  /** Address of the board. */
  readonly address: number;
  readonly board: typeof BOARD;
  readonly boardWords: number;
  readonly longestMessage: number;
  /** 1 … threads − 1; the caller is 0. */
  readonly thread: number;
  /** How long to watch for the next job before going to sleep. */
  readonly spinMilliseconds: number;
}

/** A kernel's number and its code. */
export interface HandedKernel {
  readonly number: number;
  readonly module: WebAssembly.Module;
}

export const setupFor = (memory: WebAssembly.Memory, address: number, thread: number): WorkerSetup => ({
  memory,
  address,
  board: BOARD,
  boardWords: BOARD_WORDS,
  longestMessage: LONGEST_MESSAGE,
  thread,
  spinMilliseconds: WORKER_SPIN_MILLISECONDS,
});

// While a model runs, the next job follows within this, and a worker that had to be woken would come too late for most of
// a short one: waking takes some 100 µs. Idle workers sleep.
const WORKER_SPIN_MILLISECONDS = 2;
// The caller waits for one chunk at most. A worker that takes longer may need the caller's core.
export const CALLER_SPIN_MILLISECONDS = 0.2;
