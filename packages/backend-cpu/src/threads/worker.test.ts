import { Random } from "@dfine/tensor";
import fc from "fast-check";
import { expect, test } from "vitest";
import { BOARD, lookOf, setupFor, type WorkerSetup } from "./board.ts";
import { workerMain } from "./worker.ts";

// Two slots, so that they come round soon.
const SLOTS = 2;
const GRAIN = 2;

type Run = (args: number, begin: number, end: number) => void;
interface CallerSetup extends Pick<WorkerSetup, "board" | "slot" | "slots" | "slotWords"> {
  readonly words: Int32Array;
  /** Chunks of each launch. */
  readonly launches: readonly number[];
  readonly looks: readonly number[];
  readonly start: number;
  readonly grain: number;
}

/** A caller that follows the rules of `board.ts`, and sleeps until it is woken. Launches are numbered in word 0. */
function callerMain(setup: CallerSetup, run: Run): void {
  const { words, board, slot, slots, slotWords, launches, looks, start, grain } = setup;
  for (let n = 0; n <= launches.length; n++) {
    const least = (start + (n < launches.length ? n - slots + 1 : n)) | 0;
    for (;;) {
      const launch = Atomics.load(words, board.finished);
      if (((launch - least) | 0) >= 0) break;
      const at = board.slots + (launch & (slots - 1)) * slotWords;
      for (;;) {
        const chunk = Atomics.add(words, at + slot.taken, 1);
        if (chunk >= words[at + slot.chunks]!) break;
        run((at + slot.args) * 4, chunk * grain, Math.min(words[at + slot.units]!, (chunk + 1) * grain));
        if (Atomics.add(words, at + slot.done, 1) + 1 < words[at + slot.chunks]!) continue;
        Atomics.store(words, board.finished, (launch + 1) | 0);
        if (Atomics.load(words, board.sleepers) > 0) Atomics.notify(words, board.finished);
      }
      Atomics.add(words, board.sleepers, 1);
      while (Atomics.load(words, board.finished) === launch) Atomics.wait(words, board.finished, launch);
      Atomics.sub(words, board.sleepers, 1);
    }
    if (n === launches.length) break;
    const at = board.slots + ((start + n) & (slots - 1)) * slotWords;
    for (const look of looks) while (Atomics.load(words, look) === at);
    words[at + slot.units] = launches[n]! * grain - 1;
    words[at + slot.grain] = grain;
    words[at + slot.chunks] = launches[n]!;
    words[at + slot.args] = n;
    words[at + slot.taken] = 0;
    words[at + slot.done] = 0;
    Atomics.store(words, board.queued, (start + n + 1) | 0);
    if (Atomics.load(words, board.sleepers) > 0) Atomics.notify(words, board.queued);
  }
  Atomics.store(words, board.stop, 1);
  Atomics.add(words, board.queued, 1);
  Atomics.notify(words, board.queued);
  Atomics.add(words, board.finished, 1);
  Atomics.notify(words, board.finished);
}

/** A thread that stops before each atomic operation; where it sleeps, it yields the word. */
type Thread = Generator<number | undefined, void>;

/** The function's own text as such a thread, with `globals` in place of the platform's. */
function threadOf<Args extends unknown[]>(main: (...args: Args) => void, globals: object, args: Args): Thread {
  const text = `${main}`
    .replace("function", "function*")
    .replaceAll("Atomics.wait(", "yield* wait(")
    .replaceAll(/Atomics\.(\w+)\(/g, "(yield, Atomics.$1)(");
  return new Function(...Object.keys(globals), `return ${text}`)(...Object.values(globals))(...args);
}

/** Runs launches by several threads in turns that the seed decides. @returns "launch: begin–end" of all that ran, in order */
function play({
  launches,
  workers,
  start,
  seed,
}: {
  launches: number[];
  workers: number;
  start: number;
  seed: number;
}) {
  const memory = { buffer: new ArrayBuffer(2 ** 16) } as WebAssembly.Memory;
  const words = new Int32Array(memory.buffer);
  words[BOARD.finished] = start;
  words[BOARD.queued] = start;
  const ran: string[] = [];
  const run: Run = (args, begin, end) => ran.push(`${words[args / 4]}: ${begin}–${end}`);
  const asleep = new Map<Thread, { readonly word: number; readonly value: number }>();
  let milliseconds = 0;
  const globals = {
    Atomics: {
      ...{ load: Atomics.load, add: Atomics.add, sub: Atomics.sub },
      store: (_: Int32Array, at: number, stored: number) => {
        words[at] = stored;
        if (at !== BOARD.stop) return;
        for (const { word, value } of asleep.values())
          if (word === BOARD.queued && words[word] !== value) throw new Error(`a worker sleeps on, after ${ran}`);
      },
      notify: (_: Int32Array, at: number) => {
        for (const [thread, { word }] of asleep) if (word === at) asleep.delete(thread);
      },
    },
    *wait(_: Int32Array, at: number, value: number): Thread {
      yield undefined;
      if (words[at] === value) yield at;
    },
    performance: { now: () => milliseconds++ },
    WebAssembly: {
      Instance: class {
        readonly exports = { run };
      },
    },
  };
  const setups = Array.from({ length: workers }, (_, i) => ({
    ...setupFor({ memory, address: 0, own: 0 }, { thread: i + 1, threads: workers + 1 }),
    ...{ slots: SLOTS, words: words.length, look: 8192 + lookOf(i) - lookOf(0) },
  }));
  const { board, slot, slots, slotWords } = setups[0]!;
  const looks = setups.map(({ look }) => look);
  const receive = () => ({ number: 0, module: {} });
  const threads = new Set([
    threadOf(callerMain, globals, [
      { words, board, slot, slots, slotWords, launches, looks, start, grain: GRAIN },
      run,
    ]),
    ...setups.map((setup) => threadOf(workerMain, globals, [setup, receive])),
  ]);
  const random = new Random(seed);
  while (threads.size > 0) {
    const ready = [...threads].filter((thread) => !asleep.has(thread));
    if (ready.length === 0) throw new Error(`all sleep, after ${ran}`);
    const thread = ready[random.integer(ready.length)]!;
    for (let steps = [1, 2, 5, 400][random.integer(4)]!; steps > 0 && !asleep.has(thread); steps--) {
      const { done, value } = thread.next();
      if (value !== undefined) asleep.set(thread, { word: value, value: words[value]! });
      if (!done) continue;
      threads.delete(thread);
      break;
    }
  }
  return ran;
}

test("in whatever turns threads run, each chunk runs once, launches run in order, and nobody sleeps for ever", () => {
  fc.assert(
    fc.property(
      fc.record({
        launches: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 12 }),
        workers: fc.integer({ min: 1, max: 3 }),
        start: fc.constantFrom(0, 2 ** 31 - 4),
        seed: fc.nat(),
      }),
      (given) => {
        const ran = play(given);
        const chunks = given.launches.map((count, n) =>
          Array.from({ length: count }, (_, i) => {
            const begin = i * GRAIN;
            return `${n}: ${begin}–${Math.min(begin + GRAIN, count * GRAIN - 1)}`;
          }),
        );
        const inTurn = chunks.map(({ length }) => ran.splice(0, length).sort());
        expect(inTurn).toEqual(chunks.map((each) => each.sort()));
        expect(ran).toEqual([]);
      },
    ),
    { numRuns: 500 },
  );
});
