import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type CpuBuffer, Runtime } from "../cpuRuntime.ts";
import { launchNamed, namedKernel } from "../kernels/args.ts";

const options = { relaxedSimd: false, memoryLimitBytes: 2 ** 28, deadlineMilliseconds: 20_000 };
const runtimes = [1, 2, 3].map((threads) => new Runtime({ threads, ...options }));
// Until the workers are up, the caller would do everything alone.
beforeAll(() => Promise.all(runtimes.map((runtime) => runtime.ready())));
afterAll(() => {
  for (const runtime of runtimes) runtime.dispose();
});

/** to[i] = 3 · from[i] + table[i mod length] + i; `turns` times, to take time. */
const MIX = namedKernel("mix", ["from", "to", "table", "length", "turns"], (f, arg) => {
  const [i, at, turn] = f.locals("i32", 3);
  f.for(i, { from: f.begin, to: f.end }, () => {
    f.get(i).i32(2).op("i32.shl").set(at);
    f.for(turn, { from: 0, to: arg.turns }, () => {
      f.get(arg.to, at).op("i32.add");
      f.get(arg.from, at).op("i32.add").memory("i32.load").i32(3).op("i32.mul");
      f.get(arg.table, i, arg.length).op("i32.rem_u").i32(2).op("i32.shl", "i32.add").memory("i32.load");
      f.op("i32.add").get(i).op("i32.add").memory("i32.store");
    });
  });
});

const SIZE = 4000;
const BUFFERS = 4;
const place = fc.nat(BUFFERS - 1);
const step = fc.record({
  kind: fc.constantFrom("mix", "mix", "mix", "through scratch", "write", "read"),
  from: place,
  to: place,
  seed: fc.nat(1000),
  // The last one is larger than the ring that tables usually lie in.
  length: fc.constantFrom(1, 7, 500, 20_000, 70_000),
  turns: fc.constantFrom(1, 1, 20),
  grain: fc.constantFrom(50, 999, SIZE),
  // Up to more than there are slots for.
  times: fc.constantFrom(1, 1, 1, 3, 100),
});
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

const table = ({ length, seed }: Step) => new Int32Array(length).map((_, i) => seed + i * 7);
const written = ({ seed }: Step) => new Int32Array(SIZE).map((_, i) => seed * i);

/** What every read sees, and the buffers at the end. */
function expected(steps: readonly Step[]): Int32Array[] {
  const buffers = Array.from({ length: BUFFERS }, () => new Int32Array(SIZE));
  const seen: Int32Array<ArrayBuffer>[] = [];
  for (const each of steps) {
    const words = table(each);
    const mixed = (from: Int32Array<ArrayBuffer>) => from.map((x, i) => Math.imul(3, x) + words[i % words.length]! + i);
    if (each.kind === "read") seen.push(buffers[each.from]!);
    else if (each.kind === "write") buffers[each.to] = written(each);
    else
      for (let i = 0; i < each.times; i++)
        buffers[each.to] = each.kind === "mix" ? mixed(buffers[each.from]!) : mixed(mixed(buffers[each.from]!));
  }
  return [...seen, ...buffers];
}

/** The same by kernels; each result gets new memory, and the old is freed at once. */
function computed(runtime: Runtime, steps: readonly Step[]): Int32Array[] {
  const at = ({ pointer }: CpuBuffer) => pointer / 4;
  const filled = (values: Int32Array): CpuBuffer => {
    const buffer = runtime.alloc(SIZE, "i32");
    runtime.heapI32().set(values, at(buffer));
    return buffer;
  };
  const read = (buffer: CpuBuffer) => runtime.heapI32().slice(at(buffer), at(buffer) + SIZE);
  const buffers = Array.from({ length: BUFFERS }, () => filled(new Int32Array(SIZE)));
  const seen: Int32Array[] = [];
  const renew = (index: number, buffer: CpuBuffer): void => {
    runtime.free(buffers[index]!);
    buffers[index] = buffer;
  };
  for (const each of steps) {
    const { kind, length, turns, grain } = each;
    const mix = (from: number, to: number) =>
      runtime.withTables([[1], table(each)], ([, words]) =>
        launchNamed(runtime, MIX, { words: { from, to, table: words!, length, turns }, units: SIZE, grain }),
      );
    if (kind === "read") seen.push(read(buffers[each.from]!));
    else if (kind === "write") renew(each.to, filled(written(each)));
    else
      for (let i = 0; i < each.times; i++) {
        const to = runtime.alloc(SIZE, "i32");
        const { pointer } = buffers[each.from]!;
        if (kind === "mix") mix(pointer, to.pointer);
        else
          runtime.withScratch(SIZE * 4, (scratch) => {
            mix(pointer, scratch);
            mix(scratch, to.pointer);
          });
        renew(each.to, to);
      }
  }
  const all = [...seen, ...buffers.map(read)];
  for (const buffer of buffers) runtime.free(buffer);
  return all;
}

test("launches, host writes and reads take effect in the order of their calls, on any number of threads", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const wanted = expected(steps);
      for (const runtime of runtimes) {
        const used = runtime.heap.usedBytes;
        const results = computed(runtime, steps);
        expect(results.map((words, i) => words.findIndex((word, k) => word !== wanted[i]![k]))).toEqual(
          wanted.map(() => -1),
        );
        expect(runtime.heap.usedBytes).toBe(used);
      }
    }),
    { numRuns: 20 },
  );
});
