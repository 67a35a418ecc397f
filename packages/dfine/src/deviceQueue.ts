import type { Backend } from "@dfine/tensor";

/** By device: fulfilled once everything that was given a turn so far has had it. */
const ends = new WeakMap<Backend, Promise<unknown>>();
const endOf = (backend: Backend): Promise<unknown> => ends.get(backend) ?? Promise.resolve();

/**
 * Runs `task` when every task given before for the same device has ended, failed ones included: the order of whole steps,
 * predictions and saved states. A task may wait, but not for another turn on the same device, which would never come.
 */
export function inTurn<T>(backend: Backend, task: () => T | Promise<T>): Promise<T> {
  const turn = endOf(backend).then(task);
  ends.set(
    backend,
    turn.then(
      () => undefined,
      () => undefined,
    ),
  );
  return turn;
}

/** Has later tasks on the device `next` wait also for those given for the device that it replaces. */
export function continueTurns(lost: Backend, next: Backend): void {
  ends.set(next, Promise.all([endOf(lost), endOf(next)]));
}
