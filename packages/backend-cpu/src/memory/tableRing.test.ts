import fc from "fast-check";
import { expect, test } from "vitest";
import { Heap } from "./heap.ts";
import { type Order, TableRing } from "./tableRing.ts";

/** Launches that run as late as they may. */
class Late implements Order {
  readonly #waiting: (() => void)[] = [];
  #done = 0;

  get queued(): number {
    return this.#waiting.length;
  }
  launch(run: () => void): void {
    this.#waiting.push(run);
  }
  workUntil(launches: number): void {
    while (this.#done < launches) this.#waiting[this.#done++]!();
  }
}

const length = fc.oneof(fc.nat(40), fc.nat(9000), fc.nat(70_000));

test("a launch finds the tables that were lent when it was queued, however late it runs", () => {
  const heap = new Heap({ shared: false, limitBytes: 2 ** 26 });
  const order = new Late();
  const ring = new TableRing(heap, order);
  const used = heap.usedBytes;
  let seed = 0;
  fc.assert(
    fc.property(
      fc.array(fc.record({ outer: fc.array(length, { maxLength: 3 }), inner: fc.array(length, { maxLength: 2 }) }), {
        maxLength: 30,
      }),
      (steps) => {
        const wrong: string[] = [];
        const lend = (lengths: readonly number[], use: () => void): void => {
          const tables = lengths.map((words) => new Int32Array(words).fill(++seed));
          ring.withTables(tables, (addresses) => {
            const check = () => {
              for (const [i, table] of tables.entries()) {
                const found = heap.i32().subarray(addresses[i]! / 4, addresses[i]! / 4 + table.length);
                if (!found.every((word) => word === table[0])) wrong.push(`table of ${table.length}`);
              }
            };
            order.launch(check);
            use();
            order.launch(check);
          });
        };
        for (const { outer, inner } of steps) lend(outer, () => lend(inner, () => {}));
        order.workUntil(order.queued);
        expect(wrong).toEqual([]);
        expect(heap.usedBytes).toBe(used);
      },
    ),
  );
});
