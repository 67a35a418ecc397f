import type { Backend, Buffer, Launch, Slice } from "../backend.ts";
import type { Dtype, TypedArray } from "../dtype.ts";
import { BackendError } from "../errors.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { memo } from "../memo.ts";
import { lib } from "./lib.ts";
import { printKernel } from "./print.ts";

/** What `referenceBackend` may be told. */
export interface ReferenceOptions {
  /** Precision of f32 tensors; default 32. */
  readonly floatBits?: 32 | 64;
  /** Fills new memory with NaN (f32) or a large negative number, so that reading it shows; default false. */
  readonly poison?: boolean;
}

interface ArrayBufferOf extends Buffer {
  readonly data: TypedArray;
}

type Run = (launch: Launch, arrays: readonly TypedArray[], library: typeof lib) => void;

const POISON = -1234567890;

/** The backend that defines the others: each kernel printed as plain JavaScript, in float32 or float64. No hand-written kernels. */
export function referenceBackend(options: ReferenceOptions = {}): Backend {
  const { floatBits = 32, poison = false } = options;
  const FloatArray = floatBits === 64 ? Float64Array : Float32Array;
  const bytesOf = (dtype: Dtype): number => (dtype === "f32" ? floatBits / 8 : 4);
  const compiled = new Map<string, Run>();
  let bytes = 0;
  let peakBytes = 0;
  let buffers = 0;
  const data = (buffer: Buffer): TypedArray => (buffer as ArrayBufferOf).data;
  const sliced = ({ buffer, offset, length }: Slice): TypedArray => data(buffer).subarray(offset, offset + length);

  return {
    name: `reference f${floatBits}`,
    floatBits,
    limits: { maxBufferBytes: 2 ** 32, maxBindings: 64 },
    overrides: {},
    alloc(length: number, dtype: Dtype): ArrayBufferOf {
      bytes += length * bytesOf(dtype);
      peakBytes = Math.max(peakBytes, bytes);
      buffers++;
      try {
        const array = dtype === "f32" ? new FloatArray(length) : new Int32Array(length);
        return { length, dtype, data: poison ? array.fill(dtype === "f32" ? Number.NaN : POISON) : array };
      } catch {
        throw new BackendError(
          `reference: ${length} elements of ${dtype} do not fit in memory; use a smaller batch or size`,
        );
      }
    },
    free(buffer) {
      bytes -= buffer.length * bytesOf(buffer.dtype);
      buffers--;
    },
    write(target, source) {
      sliced(target).set(source);
    },
    read: async (sources) => sources.map((source) => sliced(source).slice()),
    run(kernel: Kernel, launch: Launch) {
      const compile = () => new Function("launch", "arrays", "lib", printKernel(kernel, floatBits === 32)) as Run;
      const run = memo(compiled, kernel.key, compile);
      const arrays = launch.operands.map((operand) => data(operand.buffer));
      run(launch, arrays, lib);
    },
    flush() {},
    memory: () => ({ bytes, peakBytes, buffers }),
    dispose() {
      compiled.clear();
    },
  };
}
