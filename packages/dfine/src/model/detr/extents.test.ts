import { referenceBackend } from "@dfine/tensor";
import fc from "fast-check";
import { expect, test } from "vitest";
import { extentsOf, filledOf, type Size } from "./extents.ts";

const side = fc.integer({ min: 1, max: 700 });
/** An image in a batch, and levels as strides of 2 make them. */
const place = fc
  .tuple(side, side, fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }))
  .map(([h, w, y, x]) => {
    const levels = [8, 16, 32, 64].map((stride) => ({ height: Math.ceil(h / stride), width: Math.ceil(w / stride) }));
    const valid: Size = [Math.max(1, Math.round(h * y)), Math.max(1, Math.round(w * x))];
    return { whole: [h, w] as Size, valid, levels };
  });

test("a cell is filled where the nearest pixel of the mask is", () => {
  fc.assert(
    fc.property(place, ({ whole, valid, levels }) => {
      const filled = filledOf(valid, whole, levels);
      levels.forEach(({ height, width }, l) => {
        const rows = Array.from({ length: height }, (_, i) =>
          Math.floor(Math.fround(i * Math.fround(whole[0] / height))),
        );
        const columns = Array.from({ length: width }, (_, i) =>
          Math.floor(Math.fround(i * Math.fround(whole[1] / width))),
        );
        expect(filled[l]!.height).toBe(rows.filter((y) => y < valid[0]).length);
        expect(filled[l]!.width).toBe(columns.filter((x) => x < valid[1]).length);
        expect(Math.min(filled[l]!.height, filled[l]!.width)).toBeGreaterThan(0);
      });
    }),
  );
});

test("where all images fill the batch there is nothing to mask", () => {
  const backend = referenceBackend();
  const levels = [{ height: 2, width: 3 }];
  const where = { whole: [16, 24], levels, backend } as const;
  expect(extentsOf(undefined, where)).toBeUndefined();
  expect(
    extentsOf(
      [
        [16, 24],
        [16, 24],
      ],
      where,
    ),
  ).toBeUndefined();
  expect(
    extentsOf(
      [
        [16, 24],
        [16, 23],
      ],
      where,
    )?.padding.shape,
  ).toEqual([2, 6]);
});
