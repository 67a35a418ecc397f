import { matmul, type Tensor } from "@dfine/tensor";
import { afterAll, describe, expect, it } from "vitest";
import {
  type MatmulCase,
  type MatmulData,
  matmulData,
  matmulProperties,
  spreadOut,
  swapLast,
} from "../../../tensor/test/matmulProperties.ts";
import { bothKinds, evaluate, f32, type Input, variants } from "../../test/opKit.ts";
import { expectAllClose, expectedOf, productKinds } from "../../test/productKit.ts";

const kinds = await productKinds();
/** Which choose their kernels by the rules. */
const byRules = await bothKinds();
afterAll(() => {
  for (const [, backend] of [...kinds, ...byRules]) backend.dispose();
});

function problem(test: MatmulCase, data: MatmulData = matmulData(test)) {
  const { a, b, transposed = [false, false], spread = false } = test;
  const stored = (shape: readonly number[], factor: 0 | 1): Input => {
    const kept = transposed[factor] ? swapLast(shape) : [...shape];
    return spread ? f32(spreadOut(data[factor]), [...kept.slice(0, -1), 2 * kept.at(-1)!]) : f32(data[factor], kept);
  };
  const seen = (t: Tensor, isTransposed: boolean): Tensor => {
    const last = spread ? t.slice([...t.shape.slice(1).map(() => null), { step: 2 }]) : t;
    return isTransposed ? last.transpose(-1, -2) : last;
  };
  return {
    inputs: [stored(a, 0), stored(b, 1)],
    run: ([x, y]: readonly Tensor[]) => [matmul(seen(x!, transposed[0]), seen(y!, transposed[1]))],
  };
}

matmulProperties(
  async (test, data) => {
    const { inputs, run } = problem(test, data);
    const products = [];
    for (const [, backend] of kinds) products.push(...(await evaluate(backend, inputs, run)));
    return products;
  },
  { runs: 60 },
);

const LARGE: readonly MatmulCase[] = [
  { a: [162, 121, 9], b: [162, 9, 126] },
  { a: [165, 61, 20], b: [165, 20, 63] },
  // More than one dispatch.
  { a: [650, 650], b: [650, 650] },
];

describe("matmul", () => {
  it.each(LARGE.map(({ a, b }) => [a, b] as const))("large: %j · %j", async (a, b) => {
    const { inputs, run } = problem({ a, b });
    const expected = await expectedOf(inputs, run);
    for (const [, backend] of byRules) expectAllClose(await evaluate(backend, inputs, run), expected);
  });

  it("gives the same bits on every run", async () => {
    const { inputs, run } = problem({ a: [6, 20000], b: [20000, 9] });
    for (const [, backend] of kinds)
      expect(await evaluate(backend, inputs, run)).toEqual(await evaluate(backend, inputs, run));
  });

  it("takes tiles that fit", async () => {
    const chosen = async (kind: number, test: MatmulCase): Promise<string> => {
      const { inputs, run } = problem(test);
      const [name] = await variants(byRules[kind]![1], inputs, run);
      return name!;
    };
    expect(await chosen(1, LARGE[0]!)).toBe("matmul: tiled 128×128×8 by 256");
    expect(await chosen(1, LARGE[1]!)).toBe("matmul: tiled 64×64×16 by 256");
    expect(await chosen(1, { a: [20, 30], b: [30, 20] })).toBe("matmul: tiled 32×32×16 by 64");
    expect(await chosen(0, { a: [320, 9], b: [9, 256] })).toBe("matmul: direct 16×16");
    // Three columns, turned to be rows.
    expect(await chosen(0, { a: [300, 9], b: [9, 3] })).toBe("matmul: direct 4×32");
  });
});
