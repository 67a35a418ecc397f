import { EXIT } from "./exit.ts";

/** Ctrl-C while something runs that should end well. */
export interface Interrupt extends Disposable {
  /** Whether the user asked to stop; look after each step. */
  readonly requested: boolean;
  readonly signal: AbortSignal;
}

/**
 * The first Ctrl-C (or SIGTERM) asks to stop: `onRequest` tells the user, and the caller ends after its step. The second
 * one ends the process at once.
 */
export function watchInterrupt(onRequest: () => void): Interrupt {
  const controller = new AbortController();
  const handle = () => {
    if (controller.signal.aborted) process.exit(EXIT.interrupted);
    controller.abort(new Error("interrupted"));
    onRequest();
  };
  process.on("SIGINT", handle).on("SIGTERM", handle);
  return {
    signal: controller.signal,
    get requested() {
      return controller.signal.aborted;
    },
    [Symbol.dispose]() {
      process.off("SIGINT", handle).off("SIGTERM", handle);
    },
  };
}
