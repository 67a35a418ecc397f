import { initialize } from "@dfine/nn";
import { openScope, Random, referenceBackend, setBackend, tensor } from "@dfine/tensor";
import { beforeAll, describe, expect, test } from "vitest";
import { DeformableAttention, type DeformableOptions } from "./deformableAttention.ts";

beforeAll(() => setBackend(referenceBackend({ floatBits: 64 })));

const levels = [
  { height: 8, width: 4 },
  { height: 4, width: 2 },
];
const tokens = 40;

/** A fresh module, its query, and a value that tells where it was sampled: x, y, level, 1 in each head. */
function setup(reference: number[], options: Partial<DeformableOptions> = {}) {
  const module = new DeformableAttention(32, { heads: 8, points: [2, 1], storesPointScale: true, ...options });
  initialize(module, new Random(1));
  const places = levels.flatMap(({ height, width }, level) =>
    Array.from({ length: height * width }, (_, i) => [
      ((i % width) + 0.5) / width,
      (Math.floor(i / width) + 0.5) / height,
      level,
      1,
    ]),
  );
  const value = tensor(
    places.flatMap((place) => Array.from({ length: 8 }, () => place).flat()),
    [1, tokens, 8, 4],
  );
  return {
    module,
    input: { query: tensor(new Float64Array(32), [1, 1, 32]), reference: tensor(reference, [1, 1, 4]), value, levels },
  };
}

describe("DeformableAttention", () => {
  test("a fresh one looks from the box's centre in eight directions, evenly over all points", async () => {
    using _ = openScope("test");
    const [cx, cy, w, h] = [0.5, 0.5, 0.2, 0.1] as const;
    const { module, input } = setup([cx, cy, w, h]);
    const out = await module.call(input).data();
    const directions = [
      [1, 0],
      [1, 1],
      [0, 1],
      [-1, 1],
      [-1, 0],
      [-1, -1],
      [0, -1],
      [1, -1],
    ];
    // Steps 1 and 2 of the first level count half each, step 1 of the second whole; all times half a side.
    const mean = (0.5 + 1 + 1) / 3 / 2;
    directions.forEach(([x, y], head) => {
      expect(out[4 * head]!).toBeCloseTo(cx + x! * mean * w, 9);
      expect(out[4 * head + 1]!).toBeCloseTo(cy + y! * mean * h, 9);
      expect(out[4 * head + 2]!).toBeCloseTo(1 / 3, 9);
      expect(out[4 * head + 3]!).toBeCloseTo(1, 9);
    });
  });

  test("outside the maps there is nothing; discrete sampling takes the nearest pixel instead", async () => {
    using _ = openScope("test");
    const outside = [3, 3, 0.01, 0.01];
    const bilinear = setup(outside);
    expect([...(await bilinear.module.call(bilinear.input).data())]).toEqual(Array(32).fill(0));
    const discrete = setup(outside, { method: "discrete" });
    const [x, y, , one] = await discrete.module.call(discrete.input).data();
    expect(x!).toBeCloseTo((2 * (3.5 / 4) + 1.5 / 2) / 3, 9);
    expect(y!).toBeCloseTo((2 * (7.5 / 8) + 3.5 / 4) / 3, 9);
    expect(one!).toBeCloseTo(1, 9);
    expect(discrete.module.samplingOffsets.weight.requiresGrad).toBe(false);
    expect(bilinear.module.samplingOffsets.weight.requiresGrad).toBe(true);
  });
});
