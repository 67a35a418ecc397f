import type { OpAttrs, Override } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import type { Assembler, Local } from "../wasm/assembler.ts";
import { launchNamed, type NamedKernel, namedKernel } from "./args.ts";
import { mergeSort } from "./mergeSort.ts";

// No tile: values are compared one by one. A row of 8,400 takes 6.5 ns for each value to find its 300 largest, rows of 33
// take 8 ns for their four.

const NAMES = ["from", "values", "indices", "size", "k", "scratch", "scratchBytes"] as const;
type Name = (typeof NAMES)[number];

/** Up to this k a sorted list is kept while walking the row once. */
const SHORT = 16;
const BUCKETS = 256;
const TABLE_BYTES = BUCKETS * 4;

/**
 * Replaces the float bits in `key` by an integer that sorts as unsigned in the floats' order: NaN above all, zeros equal.
 */
function orderBits(f: Assembler, key: Local): void {
  // Twice the magnitude, so that the sign is out of the way: above infinity's lie only NaNs.
  f.get(key)
    .i32(1)
    .op("i32.shl")
    .i32(-0x1000000)
    .op("i32.gt_u")
    .if(
      () => f.i32(-1).set(key),
      () => {
        f.get(key)
          .i32(1)
          .op("i32.shl", "i32.eqz")
          .if(() => f.i32(0).set(key));
        // Negative: all bits turned; positive: the sign bit.
        f.get(key, key).i32(31).op("i32.shr_s").i32(-0x80000000).op("i32.or", "i32.xor").set(key);
      },
    );
}

const elementOf = (f: Assembler, base: Local, index: Local) => f.get(base, index).i32(2).op("i32.shl", "i32.add");

/** Units are rows. `body` fills the row's indices; the values follow them. */
const kernel = (
  name: string,
  body: (f: Assembler, row: { arg: Record<Name, Local>; from: Local; indices: Local; scratch: Local }) => void,
): NamedKernel<Name> =>
  namedKernel(`topK/${name}`, NAMES, (f, arg) => {
    const [row, from, values, indices, scratch, rank] = f.locals("i32", 6);
    f.get(arg.scratch, arg.scratchBytes).thread().op("i32.mul", "i32.add").set(scratch);
    f.for(row, { from: f.begin, to: f.end }, () => {
      f.get(arg.from, row, arg.size).op("i32.mul").i32(2).op("i32.shl", "i32.add").set(from);
      f.get(row, arg.k).op("i32.mul").i32(2).op("i32.shl").tee(values).get(arg.indices).op("i32.add").set(indices);
      f.get(arg.values, values).op("i32.add").set(values);
      body(f, { arg, from, indices, scratch });
      f.for(rank, { from: 0, to: arg.k }, () => {
        elementOf(f, values, rank);
        f.get(from);
        elementOf(f, indices, rank).memory("i32.load").i32(2).op("i32.shl", "i32.add");
        f.memory("i32.load").memory("i32.store");
      });
    });
  });

/** Keeps the best k in order: an element moves up past every smaller one. Scratch: k keys. */
const INSERT = kernel("insert", (f, { arg, from, indices, scratch }) => {
  const [i, key, filled, at, other] = f.locals("i32", 5);
  const previous = (base: Local) => elementOf(f, base, at).i32(4).op("i32.sub").memory("i32.load");
  f.i32(0).set(filled);
  f.for(i, { from: 0, to: arg.size }, () => {
    elementOf(f, from, i).memory("i32.load").set(key);
    orderBits(f, key);
    f.block((done) => {
      f.get(filled).set(at);
      f.get(filled, arg.k)
        .op("i32.lt_s")
        .if(
          () => f.get(filled).i32(1).op("i32.add").set(filled),
          () => {
            previous(scratch).get(key).op("i32.ge_u").brIf(done);
            f.get(at).i32(1).op("i32.sub").set(at);
          },
        );
      f.block((found) => {
        f.loop((next) => {
          f.get(at).op("i32.eqz").brIf(found);
          previous(scratch).tee(other).get(key).op("i32.ge_u").brIf(found);
          elementOf(f, scratch, at).get(other).memory("i32.store");
          elementOf(f, indices, at);
          previous(indices).memory("i32.store");
          f.get(at).i32(1).op("i32.sub").set(at).br(next);
        });
      });
      elementOf(f, scratch, at).get(key).memory("i32.store");
      elementOf(f, indices, at).get(i).memory("i32.store");
    });
  });
});

/**
 * Finds the k-th largest key byte by byte, collects what is above it and, in order, enough of what equals it, and sorts.
 * Scratch: a table of counts, two lists of k (key, index), all keys.
 */
const SELECT = kernel("select", (f, { arg, from, indices, scratch }) => {
  const [i, key, keys, threshold, mask, shift] = f.locals("i32", 6);
  const [missing, bucket, pairs, pair, spare] = f.locals("i32", 5);
  const count = () => f.get(scratch, bucket).i32(2).op("i32.shl", "i32.add");
  const keyAt = () => elementOf(f, keys, i).memory("i32.load").set(key);
  f.get(scratch).i32(TABLE_BYTES).op("i32.add").tee(pairs).get(arg.k).i32(3).op("i32.shl", "i32.add").tee(spare);
  f.get(arg.k).i32(3).op("i32.shl", "i32.add").set(keys);
  f.for(i, { from: 0, to: arg.size }, () => {
    elementOf(f, from, i).memory("i32.load").set(key);
    orderBits(f, key);
    elementOf(f, keys, i).get(key).memory("i32.store");
  });
  f.get(arg.k).set(missing).i32(0).set(threshold).i32(0).set(mask).i32(24).set(shift);
  f.block((done) => {
    f.loop((next) => {
      f.get(shift).i32(0).op("i32.lt_s").brIf(done);
      f.get(scratch).i32(0).i32(TABLE_BYTES).op("memory.fill");
      f.for(i, { from: 0, to: arg.size }, () => {
        keyAt();
        f.get(key, threshold)
          .op("i32.xor")
          .get(mask)
          .op("i32.and", "i32.eqz")
          .if(() => {
            f.get(key, shift)
              .op("i32.shr_u")
              .i32(BUCKETS - 1)
              .op("i32.and")
              .set(bucket);
            count();
            count().memory("i32.load").i32(1).op("i32.add").memory("i32.store");
          });
      });
      f.i32(BUCKETS - 1).set(bucket);
      f.block((found) => {
        f.loop((lower) => {
          count().memory("i32.load").tee(pair).get(missing).op("i32.ge_s").brIf(found);
          f.get(missing, pair).op("i32.sub").set(missing);
          f.get(bucket).i32(1).op("i32.sub").set(bucket).br(lower);
        });
      });
      f.get(bucket, shift).op("i32.shl").get(threshold).op("i32.or").set(threshold);
      f.i32(BUCKETS - 1)
        .get(shift)
        .op("i32.shl")
        .get(mask)
        .op("i32.or")
        .set(mask);
      f.get(shift).i32(8).op("i32.sub").set(shift).br(next);
    });
  });
  f.get(pairs).set(pair);
  f.for(i, { from: 0, to: arg.size }, () => {
    keyAt();
    f.get(key, threshold)
      .op("i32.eq")
      .get(missing)
      .i32(0)
      .op("i32.gt_s", "i32.and")
      .if(
        () => {
          f.get(missing).i32(1).op("i32.sub").set(missing);
          f.i32(1).set(bucket);
        },
        () => f.get(key, threshold).op("i32.gt_u").set(bucket),
      );
    f.get(bucket).if(() => {
      f.get(pair, key).memory("i32.store").get(pair, i).memory("i32.store", 4);
      f.get(pair).i32(8).op("i32.add").set(pair);
    });
  });
  mergeSort(f, { pairs, spare, count: arg.k });
  f.for(i, { from: 0, to: arg.k }, () => {
    elementOf(f, indices, i);
    f.get(pairs, i).i32(3).op("i32.shl", "i32.add").memory("i32.load", 4).memory("i32.store");
  });
});

export const topKOverride = (runtime: CpuRuntime): Override<OpAttrs["topK"]> => ({
  select: (_, { k }) => (k <= SHORT ? "insert" : "select"),
  run({ variant, inputs: [x], outputs: [values, indices], attrs: { k } }) {
    const [rows, size] = x!.shape as [number, number];
    const scratchBytes = variant === "insert" ? SHORT * 4 : TABLE_BYTES + k * 16 + size * 4;
    runtime.withScratch(scratchBytes * runtime.threads, (scratch) =>
      launchNamed(runtime, variant === "insert" ? INSERT : SELECT, {
        words: { from: x!, values: values!, indices: indices!, size, k, scratch, scratchBytes },
        units: rows,
        grain: Math.max(1, Math.floor(16384 / size)),
      }),
    );
  },
});
