import { initialize, readNamed } from "@dfine/nn";
import { Random, referenceBackend, setBackend, tensor } from "@dfine/tensor";
import fc from "fast-check";
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

type Values = ArrayLike<number>;
type State = ReadonlyMap<string, { readonly data: Values }>;

/** A case: sizes, and which of the options it has. */
interface Case {
  readonly points: readonly number[];
  readonly numbers: 2 | 4;
  readonly perLevel: boolean;
  readonly projections: boolean;
  readonly storesPointScale: boolean;
  readonly padded: boolean;
  readonly offsetScale: number;
}

const [BATCH, QUERIES, HEADS, FEATURES] = [2, 3, 2, 4] as const;

/** x [rows, n] · weightᵀ + bias, as nested lists. */
function project(x: Values, state: State, { name, out }: { name: string; out: number }): number[] {
  const [weight, bias] = [state.get(`${name}.weight`)!.data, state.get(`${name}.bias`)!.data];
  return Array.from({ length: (x.length / FEATURES) * out }, (_, at) => {
    const [row, o] = [Math.floor(at / out), at % out];
    let total = bias[o]!;
    for (let i = 0; i < FEATURES; i++) total += x[row * FEATURES + i]! * weight[o * FEATURES + i]!;
    return total;
  });
}

/** Zhu et al. 2021, eq. 3, as loops; → [B, M, D]. */
function loops(
  state: State,
  { points, numbers, perLevel, projections, storesPointScale, padded, offsetScale }: Case,
  input: { query: Values; reference: Values; value: Values; padding: Values },
): number[] {
  const all = points.reduce((sum, count) => sum + count, 0);
  const depth = FEATURES / HEADS;
  const offsets = project(input.query, state, { name: "sampling_offsets", out: HEADS * all * 2 });
  const logits = project(input.query, state, { name: "attention_weights", out: HEADS * all });
  const value = projections ? project(input.value, state, { name: "value_proj", out: FEATURES }) : input.value;
  const out: number[] = [];
  for (let b = 0; b < BATCH; b++)
    for (let q = 0; q < QUERIES; q++)
      for (let h = 0; h < HEADS; h++) {
        const row = (b * QUERIES + q) * HEADS + h;
        const powers = Array.from({ length: all }, (_, p) => Math.exp(logits[row * all + p]!));
        const sum = powers.reduce((total, power) => total + power, 0);
        const mixed = new Array<number>(depth).fill(0);
        let [point, start] = [0, 0];
        for (const [level, { height, width }] of levels.entries()) {
          for (let k = 0; k < points[level]!; k++, point++) {
            const at = ((b * QUERIES + q) * (perLevel ? levels.length : 1) + (perLevel ? level : 0)) * numbers;
            const place = [0, 1].map((axis) => {
              const offset = offsets[(row * all + point) * 2 + axis]!;
              const centre = input.reference[at + axis]!;
              if (numbers === 2) return centre + offset / (axis === 0 ? width : height);
              const scale = storesPointScale ? Math.fround(1 / points[level]!) : 1 / points[level]!;
              return centre + offset * scale * input.reference[at + 2 + axis]! * offsetScale;
            });
            const [px, py] = [place[0]! * width - 0.5, place[1]! * height - 0.5];
            for (let y = Math.floor(py); y <= Math.floor(py) + 1; y++)
              for (let x = Math.floor(px); x <= Math.floor(px) + 1; x++) {
                if (y < 0 || x < 0 || y >= height || x >= width) continue;
                const token = b * tokens + start + y * width + x;
                if (padded && input.padding[token]) continue;
                const share = (powers[point]! / sum) * (1 - Math.abs(px - x)) * (1 - Math.abs(py - y));
                for (let d = 0; d < depth; d++) mixed[d]! += share * value[token * FEATURES + h * depth + d]!;
              }
          }
          start += height * width;
        }
        out.push(...mixed);
      }
  return projections ? project(out, state, { name: "output_proj", out: FEATURES }) : out;
}

test("all options against nested loops", async () => {
  const random = new Random(9);
  const draw = (count: number, scale = 1, shift = 0) =>
    Float64Array.from({ length: count }, () => shift + scale * random.normal());
  const flag = fc.boolean();
  const cases = fc.record<Case>({
    points: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
    numbers: fc.constantFrom(2, 4),
    ...{ perLevel: flag, projections: flag, storesPointScale: flag, padded: flag },
    offsetScale: fc.constantFrom(0.5, 0.3),
  });
  await fc.assert(
    fc.asyncProperty(cases, async (one) => {
      const { numbers, perLevel, projections, storesPointScale, padded, ...options } = one;
      using module = new DeformableAttention(FEATURES, { heads: HEADS, projections, storesPointScale, ...options });
      const names = [...module.stateDict().keys()].map((name) => name.replace(/\..*/, ""));
      expect(new Set(names)).toEqual(
        new Set([
          ...(storesPointScale ? ["num_points_scale"] : []),
          ...["sampling_offsets", "attention_weights", ...(projections ? ["value_proj", "output_proj"] : [])],
        ]),
      );
      module.loadStateDict(
        new Map([...module.namedParameters()].map(([name, { shape, size }]) => [name, { shape, data: draw(size) }])),
        { strict: false },
      );
      const input = {
        query: draw(BATCH * QUERIES * FEATURES),
        reference: draw(BATCH * QUERIES * (perLevel ? levels.length : 1) * numbers, 0.2, 0.5),
        value: draw(BATCH * tokens * FEATURES),
        padding: Int32Array.from({ length: BATCH * tokens }, () => (random.uniform() < 0.4 ? 1 : 0)),
      };
      const found = await module
        .call({
          query: tensor(input.query, [BATCH, QUERIES, FEATURES]),
          reference: tensor(input.reference, [BATCH, QUERIES, ...(perLevel ? [levels.length] : []), numbers]),
          value: tensor(input.value, [BATCH, tokens, ...(projections ? [FEATURES] : [HEADS, FEATURES / HEADS])]),
          levels,
          padding: padded ? tensor(input.padding, [BATCH, tokens], { dtype: "bool" }) : undefined,
        })
        .data();
      const expected = loops(await readNamed(module.stateDict()), one, input);
      expect(found.length).toBe(expected.length);
      for (const [i, value] of expected.entries())
        expect(Math.abs(found[i]! - value)).toBeLessThan(1e-9 * Math.max(1, Math.abs(value)));
    }),
    { numRuns: 60 },
  );
});
