import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  dfineFill,
  type FillEntry,
  type FillRules,
  fnv1a,
  proceduralDraws,
  proceduralValues,
  sampleIndices,
  unit,
} from "./procedural.ts";
import { NO_PACK, referenceJson } from "./referencePack.ts";

interface FillVector {
  name: string;
  shape: number[];
  preset: string;
  train: boolean;
  salt: string;
  fnv1a: number;
  first: number[];
  last: number;
}

interface ModelListing {
  gains: [number, number, number];
  state_dict: [string, number[], string][];
}

function filled(entry: FillEntry, rules: FillRules): Float32Array {
  const values = proceduralValues(entry, rules);
  if (values === "keep") throw new Error(`${entry.name} was kept`);
  return values;
}

const plain = dfineFill({ salt: "", gains: [1, 1, 1], train: false });

describe("hash", () => {
  test("FNV-1a of published examples", () => {
    // Test vectors of the FNV authors' page.
    expect(fnv1a("")).toBe(0x811c9dc5);
    expect(fnv1a("a")).toBe(0xe40c292c);
    expect(fnv1a("foobar")).toBe(0xbf9cf968);
  });

  test("unit agrees with big-integer arithmetic and is exact in float32", () => {
    const mask = 0xffffffffn;
    const oracle = (name: string, index: number) => {
      let x = (BigInt(index) * 0x9e3779b9n + BigInt(fnv1a(name))) & mask;
      x ^= x >> 16n;
      x = (x * 0x85ebca6bn) & mask;
      x ^= x >> 13n;
      x = (x * 0xc2b2ae35n) & mask;
      x ^= x >> 16n;
      return Number(x >> 8n) / 2 ** 23 - 1;
    };
    fc.assert(
      fc.property(fc.string(), fc.nat(), (name, index) => {
        const value = unit(name, index);
        expect(value).toBe(oracle(name, index));
        expect(Math.fround(value)).toBe(value);
        expect(value >= -1 && value < 1).toBe(true);
      }),
    );
  });
});

describe("fill rules", () => {
  test("match the vectors of the reference pack", (context) => {
    const vectors = referenceJson<FillVector[]>("fill-vectors.json");
    if (!vectors) return context.skip(NO_PACK);
    for (const vector of vectors) {
      const gains = referenceJson<ModelListing>(`models/${vector.preset}.json`)?.gains ?? [1, 1, 1];
      const rules = dfineFill({ salt: vector.salt, gains: vector.train ? [1, 1, 1] : gains, train: vector.train });
      const values = filled({ ...vector, dtype: "float32" }, rules);
      expect(fnv1a(vector.salt + vector.name)).toBe(vector.fnv1a);
      expect([...values.subarray(0, vector.first.length)], vector.name).toEqual(vector.first);
      expect(values.at(-1)).toBe(vector.last);
    }
  });

  test("keep what the module computes itself", () => {
    for (const name of ["decoder.up", "decoder.anchors", "a.bn.num_batches_tracked", "x.num_points_scale"])
      expect(proceduralValues({ name, shape: [3, 2], dtype: "float32" }, plain)).toBe("keep");
    expect(proceduralValues({ name: "counter", shape: [1], dtype: "int64" }, plain)).toBe("keep");
  });

  test("fill element i from its index alone", () => {
    const values = filled({ name: "a.bias", shape: [50], dtype: "float32" }, { ...plain, salt: "s:" });
    values.forEach((value, i) => {
      expect(value).toBe(Math.fround(Math.fround(0.1) * unit("s:a.bias", i)));
    });
  });

  test("lower score heads in training packs only", () => {
    const entry = { name: "decoder.dec_score_head.0.bias", shape: [8], dtype: "float32" };
    const evaluation = filled(entry, plain);
    const training = filled(entry, dfineFill({ salt: "", gains: [1, 1, 1], train: true }));
    expect(Math.max(...training) < -3.8 && Math.min(...evaluation) >= -0.11).toBe(true);
  });
});

describe("draws", () => {
  test("are uniform numbers in [0, 1) that depend on salt and suffix", () => {
    const draws = proceduralDraws("h1:", ".step2");
    for (let i = 0; i < 100; i++) {
      expect(draws.labelMask(i)).toBe((unit("h1:dn.label_mask.step2", i) + 1) / 2);
      expect(draws.label(i)).toBe((unit("h1:dn.label.step2", i) + 1) / 2);
      expect(draws.sign(i)).toBe((unit("h1:dn.sign.step2", i) + 1) / 2);
      expect(draws.magnitude(i)).toBe((unit("h1:dn.magnitude.step2", i) + 1) / 2);
    }
  });

  test("sample positions lie inside the tensor", () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 1, max: 1 << 24 }), (name, size) => {
        for (const index of sampleIndices(name, { count: 8, size })) expect(index >= 0 && index < size).toBe(true);
      }),
    );
  });
});
