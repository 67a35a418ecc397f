import { EXIT } from "./exit.ts";

/**
 * The first Ctrl-C (or SIGTERM) asks to stop: `signal` is aborted, `onRequest` tells the user, and the caller ends after
 * its step. The second one ends the process at once.
 */
export function watchInterrupt(onRequest: () => void): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController();
  const handle = () => {
    if (controller.signal.aborted) process.exit(EXIT.interrupted);
    controller.abort(new Error("interrupted"));
    onRequest();
  };
  process.on("SIGINT", handle).on("SIGTERM", handle);
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      process.off("SIGINT", handle).off("SIGTERM", handle);
    },
  };
}
