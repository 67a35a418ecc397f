import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { NO_PACK, referenceBytes, referenceJson } from "../../../parity/referencePack.ts";
import { decodeFloat32, decodeInt32, readSafetensors } from "../../nn/src/safetensors.ts";
import { COCO_CATEGORY_IDS } from "./config/cocoClasses.ts";
import { PostprocessError, postprocess, topIndices } from "./postprocess.ts";

const coarse = fc.array(fc.oneof(fc.integer({ min: -3, max: 3 }), fc.double(), fc.constant(Number.NaN)), {
  maxLength: 200,
});

describe("topIndices", () => {
  test("equals the front of a full stable sort", () => {
    fc.assert(
      fc.property(coarse, fc.nat(220), (list, count) => {
        const values = Float64Array.from(list);
        const rank = (i: number) => (Number.isNaN(values[i]!) ? Number.NEGATIVE_INFINITY : values[i]!);
        const sorted = [...values.keys()].sort((a, b) => (rank(a) === rank(b) ? a - b : rank(a) < rank(b) ? 1 : -1));
        expect([...topIndices(values, count)]).toEqual(sorted.slice(0, count));
      }),
      { numRuns: 500 },
    );
  });
});

describe("postprocess", () => {
  test("turns query-class pairs into labels, scores and pixel corners", () => {
    const outputs = {
      logits: Float32Array.from([0, 2, -1, 1, -9, -9, -9, -9, 0, 3, -2, -2]),
      boxes: Float32Array.from([
        0.5, 0.5, 0.5, 0.25, 0.25, 0.5, 0.5, 1, 0, 0, 1, 1, 0.5, 0.5, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0,
      ]),
      numQueries: 3,
    };
    const [first, second] = postprocess(
      outputs,
      [
        [100, 200],
        [10, 10],
      ],
      { numTopQueries: 3 },
    );
    expect([...first!.labels]).toEqual([1, 1, 0]);
    expect([...first!.scores]).toEqual([2, 1, 0].map((x) => 1 / (1 + Math.exp(-x))));
    expect([...first!.boxes]).toEqual([25, 75, 75, 125, 0, 0, 50, 200, 25, 75, 75, 125]);
    expect([...second!.labels]).toEqual([1, 0, 0]);
    expect([...second!.boxes.subarray(0, 4)]).toEqual([0, 0, 0, 0]);
    // Logits -2 of the last query tie; the lower class wins, and the box stands at the origin.
    expect([...second!.boxes.subarray(4, 8)]).toEqual([0, 0, 0, 0]);
  });

  test("gives all pairs where there are fewer than asked for, and nothing for no image", () => {
    const outputs = { logits: new Float32Array(4), boxes: new Float32Array(8), numQueries: 2 };
    expect(postprocess(outputs, [[1, 1]])[0]?.labels).toEqual(Int32Array.from([0, 1, 0, 1]));
    expect(postprocess({ logits: new Float32Array(), boxes: new Float32Array(), numQueries: 300 }, [])).toEqual([]);
  });

  test("refuses sizes that do not fit", () => {
    const outputs = { logits: new Float32Array(4), boxes: new Float32Array(8), numQueries: 2 };
    expect(() =>
      postprocess(outputs, [
        [1, 1],
        [1, 1],
      ]),
    ).toThrow(PostprocessError);
    expect(() => postprocess(outputs, [])).toThrow(/one size for each image/);
  });

  test.for(["n", "s", "m", "l", "x"])(
    "gives the detections of the reference pack's eval/%s from its raw outputs",
    (preset, context) => {
      const bytes = referenceBytes(`eval/${preset}.safetensors`);
      const listing = referenceJson<{ orig_size_wh: [number, number] }>(`eval/${preset}.json`);
      if (!bytes || !listing) return context.skip(NO_PACK);
      const { entries } = readSafetensors(bytes);
      const tensor = (name: string) => decodeFloat32(entries.get(name)!);
      const outputs = { logits: tensor("pred_logits"), boxes: tensor("pred_boxes"), numQueries: 300 };
      const [found] = postprocess(outputs, [listing.orig_size_wh]);
      const scores = tensor("post.scores");
      const boxes = tensor("post.boxes");
      const labels = decodeInt32(entries.get("post.labels")!);
      const largest = Math.max(...listing.orig_size_wh);
      expect(found!.scores.length).toBe(scores.length);
      found!.scores.forEach((score, i) => {
        expect(Math.abs(score - scores[i]!)).toBeLessThan(1e-6);
      });
      // Detections whose scores round to the same float32 may stand in either order.
      const clear = (i: number) => scores[i - 1] !== scores[i] && scores[i + 1] !== scores[i];
      let compared = 0;
      found!.labels.forEach((label, i) => {
        if (!clear(i)) return;
        compared++;
        expect(COCO_CATEGORY_IDS[label]).toBe(labels[i]);
        for (let k = 0; k < 4; k++)
          expect(Math.abs(found!.boxes[i * 4 + k]! - boxes[i * 4 + k]!)).toBeLessThan(1e-6 * largest);
      });
      expect(compared).toBeGreaterThan(200);
    },
  );
});
