import type { Assembler, Local } from "../wasm/assembler.ts";
import { smaller } from "./args.ts";

export interface Pairs {
  /** Address of (unsigned key, value) pairs; afterwards of the sorted ones. */
  readonly pairs: Local;
  /** Address of as much memory again; afterwards of whichever is not sorted. */
  readonly spare: Local;
  readonly count: Local;
}

/** Sorts pairs by descending key; equal keys keep their order. Runs of doubling length are merged back and forth. */
export function mergeSort(f: Assembler, { pairs, spare, count }: Pairs): void {
  const [width, start, left, right, middle, end] = f.locals("i32", 6);
  const [to, swap] = f.locals("i32", 2);
  const pairAt = (base: Local, index: Local) => f.get(base, index).i32(3).op("i32.shl", "i32.add");
  const keyAt = (index: Local) => pairAt(pairs, index).memory("i32.load");
  const limitedSum = (target: Local, from: Local) => {
    f.get(from, width).op("i32.add").set(target);
    smaller(f, target, count).set(target);
  };
  f.i32(1).set(width);
  f.block((done) => {
    f.loop((wider) => {
      f.get(width, count).op("i32.ge_s").brIf(done);
      f.i32(0).set(start);
      f.block((merged) => {
        f.loop((nextRun) => {
          f.get(start, count).op("i32.ge_s").brIf(merged);
          limitedSum(middle, start);
          limitedSum(end, middle);
          f.get(start).set(left).get(middle).set(right);
          f.for(to, { from: start, to: end }, () => {
            f.block((chosen) => {
              f.block((takeRight) => {
                f.get(left, middle).op("i32.ge_s").brIf(takeRight);
                f.block((takeLeft) => {
                  f.get(right, end).op("i32.ge_s").brIf(takeLeft);
                  keyAt(left);
                  keyAt(right).op("i32.lt_u").brIf(takeRight);
                });
                pairAt(spare, to);
                pairAt(pairs, left).memory("i64.load").memory("i64.store");
                f.get(left).i32(1).op("i32.add").set(left).br(chosen);
              });
              pairAt(spare, to);
              pairAt(pairs, right).memory("i64.load").memory("i64.store");
              f.get(right).i32(1).op("i32.add").set(right);
            });
          });
          f.get(end).set(start).br(nextRun);
        });
      });
      f.get(pairs).set(swap).get(spare).set(pairs).get(swap).set(spare);
      f.get(width).i32(1).op("i32.shl").set(width).br(wider);
    });
  });
  f.release(width, start, left, right, middle, end, to, swap);
}
