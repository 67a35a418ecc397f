import { BackendError } from "@dfine/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FreeRanges } from "./freeRanges.ts";
import { ALIGNMENT, blockBytes, Heap } from "./heap.ts";

const GiB = 2 ** 30;
const sizes = fc.oneof(
  fc.integer({ min: 0, max: 300 }),
  fc.integer({ min: 1, max: 200_000 }),
  fc.integer({ min: 1, max: 3_000_000 }),
);

describe("blockBytes", () => {
  it("holds the request, aligned, with at most one eighth of slack beyond 512 bytes", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 }), (bytes) => {
        const block = blockBytes(bytes);
        expect(block).toBeGreaterThanOrEqual(bytes);
        expect(block % ALIGNMENT).toBe(0);
        if (bytes > 512) expect(block / bytes).toBeLessThanOrEqual(1.125);
        expect(blockBytes(block)).toBe(block);
      }),
    );
  });
});

describe("FreeRanges", () => {
  it("agrees with a set of free cells", () => {
    const step = fc.record({ take: fc.boolean(), n: fc.integer({ min: 1, max: 12 }), pick: fc.nat() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const ranges = new FreeRanges();
        ranges.give(0, 100);
        const free = new Set(Array.from({ length: 100 }, (_, i) => i));
        const taken: [number, number][] = [];
        for (const { take, n, pick } of steps) {
          if (take) {
            const start = ranges.take(n);
            if (start === undefined) {
              const run = longestRun(free);
              expect(run).toBeLessThan(n);
              continue;
            }
            for (let i = start; i < start + n; i++) expect(free.delete(i)).toBe(true);
            taken.push([start, n]);
          } else if (taken.length > 0) {
            const [[start, size]] = taken.splice(pick % taken.length, 1) as [[number, number]];
            ranges.give(start, size);
            for (let i = start; i < start + size; i++) free.add(i);
          }
          expect(ranges.total).toBe(free.size);
          expect(ranges.largest()).toBe(longestRun(free));
        }
      }),
    );
  });
});

function longestRun(cells: ReadonlySet<number>): number {
  let longest = 0;
  for (let i = 0, run = 0; i <= 100; i++) {
    run = cells.has(i) ? run + 1 : 0;
    longest = Math.max(longest, run);
  }
  return longest;
}

describe("Heap", () => {
  it("hands out aligned blocks that never overlap, and counts them", () => {
    const step = fc.oneof(fc.record({ alloc: sizes }), fc.record({ free: fc.nat() }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const heap = new Heap({ shared: false, limitBytes: GiB });
        const live: { pointer: number; bytes: number }[] = [];
        let peak = 0;
        for (const s of steps) {
          if ("alloc" in s) {
            const pointer = heap.alloc(s.alloc);
            expect(pointer % ALIGNMENT).toBe(0);
            expect(pointer).toBeGreaterThan(0);
            expect(pointer + s.alloc).toBeLessThanOrEqual(heap.capacityBytes);
            for (const other of live)
              expect(pointer + s.alloc <= other.pointer || other.pointer + other.bytes <= pointer).toBe(true);
            live.push({ pointer, bytes: s.alloc });
          } else if (live.length > 0) {
            const [gone] = live.splice(s.free % live.length, 1);
            heap.free(gone!.pointer, gone!.bytes);
          }
          const used = live.reduce((sum, { bytes }) => sum + blockBytes(bytes), 0);
          peak = Math.max(peak, used);
          expect(heap.usedBytes).toBe(used);
          expect(heap.peakBytes).toBe(peak);
        }
        for (const { pointer, bytes } of live) heap.free(pointer, bytes);
        expect(heap.usedBytes).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it("does not grow when the sizes of large blocks vary from step to step", () => {
    const heap = new Heap({ shared: false, limitBytes: GiB });
    let after = 0;
    for (let step = 0; step < 200; step++) {
      const blocks = Array.from({ length: 12 }, (_, i) => {
        const bytes = 400_000 + ((step * 7919 + i * 104_729) % 1_000_000);
        return { bytes, pointer: heap.alloc(bytes) };
      });
      for (const { bytes, pointer } of blocks) heap.free(pointer, bytes);
      if (step === 0) after = heap.capacityBytes;
    }
    expect(heap.capacityBytes).toBe(after);
  });

  it("keeps its views valid across growth", () => {
    const heap = new Heap({ shared: false, limitBytes: GiB });
    const pointer = heap.alloc(64);
    heap.f32()[pointer / 4] = 7;
    heap.alloc(100 * 2 ** 20);
    expect(heap.f32()[pointer / 4]).toBe(7);
    expect(heap.u8().length).toBe(heap.capacityBytes);
  });

  it("says what was asked, what is free and what would fit", () => {
    const heap = new Heap({ shared: false, limitBytes: 64 * 2 ** 20 });
    heap.alloc(40 * 2 ** 20);
    expect(() => heap.alloc(48 * 2 ** 20)).toThrow(BackendError);
    expect(() => heap.alloc(48 * 2 ** 20)).toThrow(
      /48\.0 MiB asked for, 40\.0 MiB in use, .* free .*may not grow past 64\.0 MiB; .* about 72 % of this one's pixels would fit/,
    );
    expect(heap.alloc(16 * 2 ** 20)).toBeGreaterThan(0);
  });
});
