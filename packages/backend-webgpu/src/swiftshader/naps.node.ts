/** Share of the time waited so far that a nap takes, so that naps delay short waits little. */
const SHARE = 1 / 16;
/** Milliseconds; other work of the event loop waits no longer. */
const LONGEST = 1;

let waits = 0;
/** When the last of them began. */
let since = 0;
let isNapping = false;

/**
 * Waits for the device without keeping a core busy: while anything is pending, Dawn asks for news in every turn of Node's event
 * loop, which so never rests. With naps between the turns that core computes, which counts where the device is software.
 */
export async function withNaps<T>(work: Promise<T>): Promise<T> {
  waits++;
  since = performance.now();
  if (!isNapping) napBetweenTurns();
  try {
    return await work;
  } finally {
    waits--;
  }
}

/** One nap a turn, however many wait. */
function napBetweenTurns(): void {
  const never = new Int32Array(new SharedArrayBuffer(4));
  const nap = (): void => {
    isNapping = waits > 0;
    if (!isNapping) return;
    Atomics.wait(never, 0, 0, Math.min(LONGEST, (performance.now() - since) * SHARE));
    setImmediate(nap);
  };
  isNapping = true;
  setImmediate(nap);
}
