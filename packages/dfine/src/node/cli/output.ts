import type { EventEmitter } from "node:events";
import { EXIT } from "./exit.ts";

/** Whoever read has stopped reading, as `head` does, or the terminal is gone. */
const GONE: ReadonlySet<string | undefined> = new Set(["EPIPE", "EIO"]);

/**
 * Lets a command do its work to the end, unheard, when nobody reads a stream of its output any more; Node would end it with
 * a stack. What cannot be written for another reason (a full disk) is told to `fail`, once.
 */
export function watchOutput(streams: readonly EventEmitter[], fail: (message: string, code: number) => void): void {
  let failed = false;
  for (const stream of streams)
    stream.on("error", ({ code, message }: NodeJS.ErrnoException) => {
      if (failed || GONE.has(code)) return;
      failed = true;
      fail(`the output cannot be written (${message})`, EXIT.failure);
    });
}
