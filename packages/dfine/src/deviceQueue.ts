import type { Backend } from "@dfine/tensor";

/** By device that is taken: fulfilled once everything that was given a turn has had it. */
const ends = new WeakMap<Backend, Promise<unknown>>();

/**
 * Lets the program see to its events: where kernels keep the thread busy, nothing else would. (In pages a message is the
 * way, because a timer waits 4 ms.)
 */
const breathe = (): Promise<void> =>
  new Promise((resolve) => {
    if (typeof setImmediate === "function") return void setImmediate(resolve);
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => resolve(port1.close());
    port2.postMessage(undefined);
  });

/**
 * Runs `task` when every task given before for the same device has ended, failed ones included, and the program has seen
 * to its events: the order of whole steps, predictions and saved states. A task may wait, but not for another turn on the same device, which would never come.
 */
export function inTurn<T>(backend: Backend, task: () => T | Promise<T>): Promise<T> {
  const before = ends.get(backend) ?? Promise.resolve();
  const turn = before.then(breathe).then(task);
  const pass = (): void => {
    if (ends.get(backend) === end) ends.delete(backend);
  };
  const end: Promise<void> = turn.then(pass, pass);
  ends.set(backend, end);
  return turn;
}

/** Has later tasks on the device `next` wait also for those given for the device that it replaces. */
export function continueTurns(lost: Backend, next: Backend): void {
  ends.set(next, Promise.all([ends.get(lost), ends.get(next)]));
}
