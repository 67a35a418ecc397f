import type { Backend, Buffer } from "./backend.ts";
import type { Dtype } from "./dtype.ts";
import { BackendError, OutOfMemoryError } from "./errors.ts";

/** How much may be made on a `metaBackend`. */
export interface MetaOptions {
  /** Buffers at a time; default no limit. */
  readonly buffers?: number;
  /** Elements of all buffers together; default no limit. */
  readonly elements?: number;
}

/**
 * A backend of shapes alone: tensors have neither memory nor values, and nothing is computed. What a model would be can be
 * looked at in no time, and one that is too large for `options` is given up with `OutOfMemoryError` while it is made.
 */
export function metaBackend(options: MetaOptions = {}): Backend {
  const { buffers: mostBuffers = Number.POSITIVE_INFINITY, elements: mostElements = Number.POSITIVE_INFINITY } =
    options;
  let buffers = 0;
  let elements = 0;
  let peak = 0;
  return {
    name: "meta",
    floatBits: 32,
    limits: { maxBufferBytes: Number.MAX_SAFE_INTEGER, maxBindings: 64 },
    overrides: {},
    alloc(length: number, dtype: Dtype): Buffer {
      const beyond = buffers + 1 > mostBuffers ? `${mostBuffers} tensors` : `${mostElements} elements`;
      if (buffers + 1 > mostBuffers || !(elements + length <= mostElements))
        throw new OutOfMemoryError(`more than ${beyond}`, "raise the limit, or make less");
      buffers++;
      elements += length;
      peak = Math.max(peak, elements);
      return { length, dtype };
    },
    free({ length }) {
      buffers--;
      elements -= length;
    },
    write() {},
    read: async () => {
      throw new BackendError("meta: tensors have no values; make them on a backend that computes");
    },
    run() {},
    flush() {},
    memory: () => ({ bytes: 4 * elements, peakBytes: 4 * peak, buffers }),
    dispose() {},
  };
}
