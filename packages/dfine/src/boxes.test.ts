import { referenceBackend, setBackend, tensor } from "@dfine/tensor";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { NO_PACK, referenceJson } from "../../../parity/referencePack.ts";
import { distanceToBox, inverseSigmoid, moveBox } from "./boxes.ts";
import { bbox2distance } from "./model/distance.ts";
import { weightingFunction } from "./model/weighting.ts";

beforeAll(() => setBackend(referenceBackend({ floatBits: 64 })));

interface JsonTensor {
  shape: number[];
  data: number[];
}

describe("inverseSigmoid", () => {
  test("undoes the sigmoid inside and stays finite outside", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.double({ min: -11, max: 11, noNaN: true }), { minLength: 1 }), async (xs) => {
        const y = await inverseSigmoid(tensor(xs.map((x) => 1 / (1 + Math.exp(-x))))).data();
        xs.forEach((x, i) => {
          expect(y[i]!).toBeCloseTo(x, 8);
        });
      }),
    );
    const ends = await inverseSigmoid(tensor([-3, 0, 1e-6, 1, 7])).data();
    expect([...ends].map((value) => value.toFixed(4))).toEqual([
      "-11.5129",
      "-11.5129",
      "-11.5129",
      "11.5129",
      "11.5129",
    ]);
  });

  test("agrees with the reference pack", async (context) => {
    const unit = referenceJson<{ x: JsonTensor; y: JsonTensor }>("units/inverse_sigmoid.json");
    if (!unit) return context.skip(NO_PACK);
    const x = tensor(unit.x.data);
    const [y, moved] = [await inverseSigmoid(x).data(), await moveBox(tensor(unit.x.data.map(() => 0)), x).data()];
    unit.y.data.forEach((expected, i) => {
      expect(Math.abs(y[i]! - expected)).toBeLessThanOrEqual(1e-7 * (1 + Math.abs(expected)));
      expect(moved[i]!).toBeCloseTo(1 / (1 + Math.exp(-expected)), 7);
    });
  });
});

describe("distanceToBox", () => {
  const parameters = { regMax: 32, regScale: 4, up: 0.5 };

  test("distances of zero give the box itself; doubling the scale halves a shift", async () => {
    const box = fc.tuple(...[0, 0, 0, 0].map(() => fc.double({ min: 0.05, max: 1, noNaN: true })));
    const distance = fc.tuple(...[0, 0, 0, 0].map(() => fc.double({ min: -2, max: 2, noNaN: true })));
    await fc.assert(
      fc.asyncProperty(box, distance, async (point, shift) => {
        const points = tensor(point, [1, 4]);
        const decode = async (factor: number, scale: number) =>
          (await distanceToBox(
            points,
            tensor(
              shift.map((d) => factor * d),
              [1, 4],
            ),
            scale,
          ).data()) as Float64Array;
        const [same, once, coarse] = [await decode(0, 4), await decode(1, 4), await decode(2, 8)];
        point.forEach((value, i) => {
          expect(same[i]!).toBeCloseTo(value, 12);
          expect(coarse[i]!).toBeCloseTo(once[i]!, 12);
        });
        // Left edge: cx - w/2 moves outward by distance · w / scale.
        expect(once[0]! - once[2]! / 2).toBeCloseTo(point[0]! - point[2]! / 2 - (shift[0]! * point[2]!) / 4, 12);
        expect(once[1]! + once[3]! / 2).toBeCloseTo(point[1]! + point[3]! / 2 + (shift[3]! * point[3]!) / 4, 12);
      }),
    );
  });

  test("undoes bbox2distance", async () => {
    const side = fc.double({ min: 0.1, max: 0.5, noNaN: true });
    const nudge = fc.double({ min: -0.2, max: 0.2, noNaN: true });
    const weights = weightingFunction(parameters);
    await fc.assert(
      fc.asyncProperty(fc.tuple(side, side, side, side), fc.tuple(nudge, nudge, nudge, nudge), async (point, by) => {
        const [cx, cy, w, h] = point;
        const target = [cx + by[0] * w, cy + by[1] * h, w * (1 + by[2]), h * (1 + by[3])];
        const { bins, weightLeft, weightRight } = bbox2distance(
          Float64Array.from(point),
          Float64Array.from(target),
          parameters,
        );
        const distances = [...bins].map(
          (bin, i) => weightLeft[i]! * weights[Math.trunc(bin)]! + weightRight[i]! * weights[Math.trunc(bin) + 1]!,
        );
        const decoded = await distanceToBox(tensor(point, [1, 4]), tensor(distances, [1, 4]), 4).data();
        target.forEach((value, i) => {
          expect(decoded[i]!).toBeCloseTo(value, 9);
        });
      }),
    );
  });

  test("agrees with the reference pack", async (context) => {
    const units =
      referenceJson<{ reg_scale: number; points: JsonTensor; distance: JsonTensor; out_cxcywh: JsonTensor }[]>(
        "units/distance2bbox.json",
      );
    if (!units) return context.skip(NO_PACK);
    for (const { reg_scale, points, distance, out_cxcywh } of units) {
      const boxes = await distanceToBox(
        tensor(points.data, points.shape),
        tensor(distance.data, distance.shape),
        tensor([reg_scale]),
      ).data();
      out_cxcywh.data.forEach((expected, i) => {
        expect(Math.abs(boxes[i]! - expected)).toBeLessThanOrEqual(1e-7 * (1 + Math.abs(expected)));
      });
    }
  });
});
