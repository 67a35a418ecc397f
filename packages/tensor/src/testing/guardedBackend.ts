import type { Backend, Binding, Buffer, Override, Overrides, Slice, View } from "../backend.ts";
import type { Dtype, TypedArray } from "../dtype.ts";

interface Guarded extends Buffer {
  readonly inner: Buffer;
}

/** Elements before and after each buffer that no kernel may touch; 64 bytes keep the alignment. */
const GUARD = 16;
const GUARD_WORD = 123456;
const POISON: Record<Dtype, number> = { f32: Number.NaN, i32: -1234567890, bool: 1 };

export interface GuardedBackend extends Backend {
  /** Reads all guard words, frees what was freed meanwhile, and throws if a kernel wrote outside its buffers. */
  verify(): Promise<void>;
}

/** A backend whose buffers lie between guard words and start out poisoned. */
export function guardedBackend(backend: Backend): GuardedBackend {
  const live = new Set<Guarded>();
  const freed = new Set<Guarded>();
  const inner = (buffer: Buffer): Buffer => (buffer as Guarded).inner;
  const shifted = <T extends View | Binding | Slice>(place: T): T => ({
    ...place,
    buffer: inner(place.buffer),
    offset: place.offset + GUARD,
  });
  const values = (dtype: Dtype, length: number, value: number): TypedArray =>
    dtype === "f32" ? new Float32Array(length).fill(value) : new Int32Array(length).fill(value);

  const overrides = Object.fromEntries(
    Object.entries(backend.overrides as Record<string, Override<object>>).map(
      ([op, override]): [string, Override<object>] => [
        op,
        {
          select: (inputs, attrs) => override.select(inputs.map(shifted), attrs),
          accepts: (inputs, attrs) => override.accepts?.(inputs.map(shifted), attrs) ?? [],
          run: (call) =>
            override.run({ ...call, inputs: call.inputs.map(shifted), outputs: call.outputs.map(shifted) }),
        },
      ],
    ),
  ) as Overrides;

  return {
    name: `${backend.name} (guarded)`,
    floatBits: backend.floatBits,
    limits: backend.limits,
    overrides,
    alloc(length, dtype) {
      const buffer: Guarded = { length, dtype, inner: backend.alloc(length + 2 * GUARD, dtype) };
      const fill = (offset: number, count: number, value: number): void =>
        backend.write({ buffer: buffer.inner, offset, length: count }, values(dtype, count, value));
      fill(0, GUARD, GUARD_WORD);
      fill(GUARD, length, POISON[dtype]);
      fill(GUARD + length, GUARD, GUARD_WORD);
      live.add(buffer);
      return buffer;
    },
    free(buffer) {
      live.delete(buffer as Guarded);
      freed.add(buffer as Guarded);
    },
    write: (target, data) => backend.write(shifted(target), data),
    read: (sources) => backend.read(sources.map(shifted)),
    run: (kernel, launch) => backend.run(kernel, { ...launch, operands: launch.operands.map(shifted) }),
    flush: () => backend.flush(),
    memory: () => backend.memory(),
    dispose: () => backend.dispose(),
    async verify() {
      const buffers = [...live, ...freed];
      const words = await backend.read(
        buffers.flatMap((buffer) => [
          { buffer: buffer.inner, offset: 0, length: GUARD },
          { buffer: buffer.inner, offset: GUARD + buffer.length, length: GUARD },
        ]),
      );
      for (const buffer of freed) backend.free(buffer.inner);
      freed.clear();
      const broken = words.findIndex((word) => word.some((value) => value !== GUARD_WORD));
      if (broken >= 0)
        throw new Error(
          `a kernel wrote ${broken % 2 ? "behind" : "before"} a buffer of ${buffers[broken >> 1]!.length} elements`,
        );
    },
  };
}
