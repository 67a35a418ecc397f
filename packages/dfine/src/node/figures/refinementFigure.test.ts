import { expect, test } from "vitest";
import { EDGES } from "../../distributions.ts";
import { loadSharp } from "../optional.ts";
import { refinementFigure } from "./refinementFigure.ts";

const distribution = {
  probability: Float64Array.of(0.25, 0.5, 0.25),
  weighted: Float64Array.of(-0.25, 0, 0.25),
  shift: -2.04,
};
const object = (label: string) => ({
  ...{ label, classId: 0, score: 0.9, box: { xmin: 10, ymin: 10, xmax: 30, ymax: 25 } },
  initial: { xmin: -5, ymin: 8, xmax: 33, ymax: 28 },
  edges: { left: distribution, top: distribution, right: { ...distribution, shift: 0.01 }, bottom: distribution },
});
const picture = { source: "data:image/png;base64,iVBORw0KGgo=", width: 40, height: 30 };

test("each object has a card with four edges; names cannot break out", async () => {
  const svg = refinementFigure({ ...picture, objects: [object("a"), object(`<script>"&`)] });
  for (const edge of EDGES) expect(svg.match(new RegExp(`>${edge}</text>`, "g"))).toHaveLength(2);
  expect(svg.match(/−2\.0 px/g)).toHaveLength(6);
  expect(svg.match(/>0\.0 px/g)).toHaveLength(2);
  expect(svg).not.toMatch(/<script>|NaN|Infinity|undefined/);
  // It is well-formed, or nothing could draw it.
  const { info } = await (await loadSharp())(Buffer.from(svg)).png().toBuffer({ resolveWithObject: true });
  expect(info.width).toBe(1300);
});

test("a picture without objects is a picture", () => {
  const svg = refinementFigure({ ...picture, objects: [] });
  expect(svg).toContain('viewBox="0 0 640 534"');
});
