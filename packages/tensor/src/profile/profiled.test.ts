import { afterAll, expect, test } from "vitest";
import type { Launch } from "../backend.ts";
import {
  type Backend,
  gradients,
  matmul,
  noGrad,
  readResults,
  referenceBackend,
  silu,
  sum,
  type Tensor,
  tensor,
} from "../index.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { profiled } from "./profiled.ts";
import { profileTable, sharesOf } from "./profileTable.ts";

const backend = referenceBackend({ floatBits: 32 });
afterAll(() => backend.dispose());

const CEILING = { gflops: 2, gbps: 4 };

/** What ops [2, 3] → … are seen to have cost. */
async function seen(compute: (x: Tensor) => Tensor) {
  const watched = profiled(backend, CEILING);
  await readResults(watched.backend, () => [noGrad(() => compute(tensor(new Float32Array(6), [2, 3])))]);
  return watched.profile();
}

test.each<[string, (x: Tensor) => Tensor, { flops: number; bytes: number }]>([
  // x · sigmoid(x) of 6 elements, each read and written.
  ["silu", (x) => silu(x), { flops: 12, bytes: 48 }],
  // What is broadcast is read once.
  ["add", (x) => x.add(tensor([1, 2, 3])), { flops: 6, bytes: 4 * (6 + 3 + 6) }],
  // 3 additions for each of 2 rows.
  ["sum", (x) => sum(x, 1), { flops: 6, bytes: 4 * (6 + 2) }],
  // 2 · 4 sums of 3 products.
  ["contract", (x) => matmul(x, tensor(new Float32Array(12), [3, 4])), { flops: 2 * 24, bytes: 4 * (6 + 12 + 8) }],
])("%s: its work follows from its kernel and operands", async (op, compute, work) => {
  const { ops } = await seen(compute);
  expect(ops.filter((each) => each.op !== "fill")).toMatchObject([{ op, variant: "generated", calls: 1, ...work }]);
});

test("times add up to the whole, and so do the shares", async () => {
  const watched = profiled(backend, CEILING);
  await readResults(watched.backend, () => {
    const x = tensor(new Float32Array(600).fill(0.5), [20, 30]);
    return gradients(([input]) => silu(matmul(input!, input!.transpose(0, 1))), {
      inputs: [x],
      dy: tensor(new Float32Array(400), [20, 20]),
    });
  });
  const profile = watched.profile({ restart: true });
  const { ops, wall, reading, elsewhere } = profile;
  expect(ops.length).toBeGreaterThan(2);
  for (const { host } of ops) expect(host).toBeGreaterThan(0);
  expect(Math.min(reading, elsewhere)).toBeGreaterThanOrEqual(0);
  const shares = ops.reduce((total, op) => total + sharesOf(op, profile).time, (reading + elsewhere) / wall);
  expect(shares).toBeCloseTo(1, 9);
  expect(watched.profile().ops).toEqual([]);
});

test("the ceiling that is nearer says which rate is told", () => {
  const op = { ...{ op: "x", variant: "y", calls: 1, launches: 1, waiting: 0, host: 1 }, milliseconds: 1 };
  const profile = { ops: [], wall: 4, reading: 0, elsewhere: 0, ceiling: CEILING, beside: false };
  expect(sharesOf({ ...op, flops: 1e6, bytes: 1e6 }, profile)).toEqual({
    ...{ time: 0.5, rate: "1.0 GFLOP/s", ceiling: 0.5 },
  });
  expect(sharesOf({ ...op, flops: 1e6, bytes: 3e6 }, profile)).toMatchObject({ rate: "3.0 GB/s", ceiling: 0.75 });
  expect(sharesOf({ ...op, flops: 1e6, bytes: 3e6, milliseconds: undefined }, profile)).toEqual({ time: 0.25 });
});

test("the table has the larger ops, the others together, and what is no op's", () => {
  const op = { ...{ variant: "generated", calls: 4, launches: 4, flops: 0, waiting: 0 } };
  const ops = [
    { ...op, op: "large", bytes: 8e8, milliseconds: 400, host: 40 },
    { ...op, op: "small", bytes: 0, milliseconds: 0.2, host: 0 },
  ];
  const profile = { ops, wall: 1000, reading: 9.8, elsewhere: 550, ceiling: CEILING, beside: false };
  expect(profileTable(profile, 2)).toMatchInlineSnapshot(`
    "  calls  kernels         ms   waiting      host     time            rate  of ceiling  op and kernel
          2        2     200.00      0.00     20.00   44.0 %        2.0 GB/s      50.0 %  large generated
          2        2       0.10      0.00      0.00    0.0 %        0.0 GB/s       0.0 %  1 others
          4        4     200.10      0.00     20.00   44.0 %        2.0 GB/s      50.0 %  all ops
                                               4.90    1.0 %                              waiting for results
                                             275.00   55.0 %                              elsewhere on the host
                                             500.00  100.0 %                              all
    ceiling: 2.0 GFLOP/s in a product, 4.0 GB/s in a copy"
  `);
});

test("a backend without a meter still tells calls and the host's time", async () => {
  const { ops } = await seen((x) => silu(x));
  expect(ops[0]).toMatchObject({ launches: undefined, milliseconds: undefined, waiting: 0 });
});

test("a device that has a clock tells its kernels' times later, by op, and they are no part of the host's", async () => {
  const known = new Map<string, number>();
  let late: (() => void)[] = [];
  let current: string | undefined;
  const device = Object.create(backend, {
    meter: {
      value: () => ({
        ...{ launches: 0, milliseconds: undefined, waiting: 0 },
        clock: {
          milliseconds: known,
          label: (name?: string) => {
            current = name;
          },
          async settle() {
            for (const tell of late) tell();
            late = [];
          },
        },
      }),
    },
    run: {
      value: (kernel: Kernel, launch: Launch) => {
        const label = current!;
        late.push(() => known.set(label, (known.get(label) ?? 0) + 1000));
        backend.run(kernel, launch);
      },
    },
  }) as Backend;
  const watched = profiled(device, CEILING);
  const run = () => readResults(watched.backend, () => [noGrad(() => silu(tensor([1, 2])))]);
  const seen = () => watched.profile().ops.find(({ op }) => op === "silu")?.milliseconds;
  await run();
  expect(seen()).toBeUndefined();
  await watched.settle();
  expect(seen()).toBe(1000);
  watched.profile({ restart: true });
  await run();
  await run();
  await watched.settle();
  expect(seen()).toBe(2000);
  const profile = watched.profile();
  expect(profile.beside).toBe(true);
  expect(profile.wall - profile.reading - profile.elsewhere).toBeLessThan(1000);
  expect(profileTable(profile)).toMatch(/the device computed in .* %? ?of the time, and idled in 0\.0 %/);
});
