/** Share of the time waited so far that a nap takes, so that naps delay short waits little. */
const SHARE = 1 / 16;
/** Milliseconds; other work of the event loop waits no longer. */
const LONGEST = 1;

/**
 * Waits for the device without keeping a core busy: while anything is pending, Dawn asks for news in every turn of Node's event
 * loop, which so never rests. With naps between the turns that core computes, which counts where the device is software.
 */
export async function withNaps<T>(work: Promise<T>): Promise<T> {
  const never = new Int32Array(new SharedArrayBuffer(4));
  const start = performance.now();
  let isWaiting = true;
  const nap = (): void => {
    if (!isWaiting) return;
    Atomics.wait(never, 0, 0, Math.min(LONGEST, (performance.now() - start) * SHARE));
    setImmediate(nap);
  };
  setImmediate(nap);
  try {
    return await work;
  } finally {
    isWaiting = false;
  }
}
