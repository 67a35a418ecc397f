import type { HandedKernel, WorkerSetup } from "./board.ts";

/**
 * What a worker does until it is stopped. Its text is sent to the worker, so it may refer to nothing outside itself but
 * the platform's globals. It has no functions inside and no syntax newer than the build's target: bundlers would add
 * calls of helpers of theirs, which the worker lacks.
 */
export function workerMain(setup: WorkerSetup, receive?: () => HandedKernel): void {
  const { memory, board, slot, slots, slotWords, longestMessage, look, thread, own, spinMilliseconds } = setup;
  const words = new Int32Array(memory.buffer, setup.address, setup.words);
  const kernels = new Map<number, (args: number, begin: number, end: number) => void>();
  Atomics.add(words, board.started, 1);
  for (;;) {
    const launch = Atomics.load(words, board.finished);
    if (Atomics.load(words, board.stop) !== 0) return;
    const at = board.slots + (launch & (slots - 1)) * slotWords;
    Atomics.store(words, look, at);
    if (Atomics.load(words, board.finished) !== launch) continue;
    const isIdle = Atomics.load(words, board.queued) === launch;
    const chunks = isIdle ? 0 : words[at + slot.chunks]!;
    while (!isIdle) {
      const chunk = Atomics.add(words, at + slot.taken, 1);
      if (chunk >= chunks) break;
      const kernel = words[at + slot.kernel]!;
      try {
        if (Atomics.load(words, board.failed) === 0) {
          let run = kernels.get(kernel);
          while (run === undefined) {
            let next: HandedKernel;
            // Kernels of launches that this thread took no part in are handed over before.
            if (receive) next = receive();
            else {
              const code = new Uint8Array(memory.buffer, words[at + slot.code]! >>> 0, words[at + slot.codeLength]!);
              next = { number: kernel, module: new WebAssembly.Module(Uint8Array.from(code)) };
            }
            const instance = new WebAssembly.Instance(next.module, { env: { memory, thread, own } });
            kernels.set(next.number, instance.exports.run as (args: number, begin: number, end: number) => void);
            run = kernels.get(kernel);
          }
          const grain = words[at + slot.grain]!;
          const begin = chunk * grain;
          run(setup.address + (at + slot.args) * 4, begin, Math.min(words[at + slot.units]!, begin + grain));
        }
      } catch (error) {
        if (Atomics.compareExchange(words, board.failed, 0, 1) === 0) {
          const text = String(error).slice(0, longestMessage);
          for (let i = 0; i < text.length; i++) words[board.message + i] = text.charCodeAt(i);
          words[board.failedKernel] = kernel;
          words[board.messageLength] = text.length;
        }
      }
      if (Atomics.add(words, at + slot.done, 1) + 1 === chunks) {
        Atomics.store(words, board.finished, (launch + 1) | 0);
        if (Atomics.load(words, board.sleepers) > 0) Atomics.notify(words, board.finished);
      }
    }
    Atomics.store(words, look, 0);

    // Watches for more a while, then sleeps until it comes.
    const word = isIdle ? board.queued : board.finished;
    if (Atomics.load(words, word) !== launch) continue;
    const until = performance.now() + spinMilliseconds;
    let spins = 1;
    while (Atomics.load(words, word) === launch && (spins % 64 !== 0 || performance.now() <= until)) spins++;
    if (Atomics.load(words, word) === launch) {
      Atomics.add(words, board.sleepers, 1);
      while (Atomics.load(words, word) === launch) Atomics.wait(words, word, launch);
      Atomics.sub(words, board.sleepers, 1);
    }
  }
}
