import type { HandedKernel, WorkerSetup } from "./board.ts";

/**
 * What a worker does until it is stopped. Its text is sent to the worker, so it may refer to nothing outside itself but
 * the platform's globals. It has no functions inside and no syntax newer than the build's target: bundlers would add
 * calls of helpers of theirs, which the worker lacks.
 */
export function workerMain(setup: WorkerSetup, receive?: () => HandedKernel): void {
  const { memory, address, board, boardWords, longestMessage, thread, spinMilliseconds } = setup;
  const words = new Int32Array(memory.buffer, address, boardWords);
  const kernels = new Map<number, (args: number, begin: number, end: number) => void>();
  let seen = 0;
  Atomics.add(words, board.started, 1);
  for (;;) {
    // Watches for the next job a while, then sleeps until it comes.
    const until = performance.now() + spinMilliseconds;
    let spins = 1;
    while (Atomics.load(words, board.sequence) === seen && (spins % 64 !== 0 || performance.now() <= until)) spins++;
    if (Atomics.load(words, board.sequence) === seen) {
      Atomics.add(words, board.sleepers, 1);
      while (Atomics.load(words, board.sequence) === seen) Atomics.wait(words, board.sequence, seen);
      Atomics.sub(words, board.sleepers, 1);
    }
    seen = Atomics.load(words, board.sequence);
    if (Atomics.load(words, board.stop) !== 0) return;

    Atomics.add(words, board.active, 1);
    try {
      if (Atomics.load(words, board.open) !== 0) {
        const kernel = words[board.kernel]!;
        let run = kernels.get(kernel);
        while (run === undefined) {
          let next: HandedKernel;
          // Kernels of jobs that this thread came too late for are handed over before.
          if (receive) next = receive();
          else {
            const code = new Uint8Array(memory.buffer, words[board.code]! >>> 0, words[board.codeLength]!);
            next = { number: kernel, module: new WebAssembly.Module(Uint8Array.from(code)) };
          }
          const instance = new WebAssembly.Instance(next.module, { env: { memory, thread } });
          kernels.set(next.number, instance.exports.run as (args: number, begin: number, end: number) => void);
          run = kernels.get(kernel);
        }
        const args = words[board.args]!;
        const units = words[board.units]!;
        const grain = words[board.grain]!;
        const chunks = words[board.chunks]!;
        for (let chunk = Atomics.add(words, board.next, 1); chunk < chunks; chunk = Atomics.add(words, board.next, 1))
          run(args, chunk * grain, Math.min(units, (chunk + 1) * grain));
      }
    } catch (error) {
      if (Atomics.exchange(words, board.failed, 1) === 0) {
        const text = String(error).slice(0, longestMessage);
        for (let i = 0; i < text.length; i++) words[board.message + i] = text.charCodeAt(i);
        Atomics.store(words, board.messageLength, text.length);
      }
    }
    Atomics.sub(words, board.active, 1);
    if (Atomics.load(words, board.callerWaits) !== 0) Atomics.notify(words, board.active);
  }
}
