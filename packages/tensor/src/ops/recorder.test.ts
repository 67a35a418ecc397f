import { expect, test } from "vitest";
import { referenceBackend } from "../reference/referenceBackend.ts";
import { withBackend } from "../runtime.ts";
import { scope } from "../scope.ts";
import type { Tensor } from "../tensor.ts";
import "../methods.ts";
import { conv2d } from "./conv2d.ts";
import { arange, ones } from "./create.ts";
import { concat, split, upsampleNearest } from "./join.ts";
import { type OpCall, recordCalls, recordsAnySize } from "./recorder.ts";
import { softmax } from "./row.ts";
import { topK } from "./topK.ts";

/** The calls of `body`, as `inputs → outputs` by their shapes. */
function told(body: () => unknown): string[] {
  const calls: string[] = [];
  const shapes = (tensors: readonly Tensor[]) => tensors.map(({ shape }) => `[${shape}]`).join(" ");
  const see = ({ name, inputs, outputs }: OpCall) => void calls.push(`${name} ${shapes(inputs)} → ${shapes(outputs)}`);
  withBackend(referenceBackend(), () => scope("test", () => void recordCalls(() => void body(), { see })));
  return calls;
}

test("each op is told of once, and what it is made of is not", () => {
  const image = () => ones([1, 2, 4, 4]);
  expect(told(() => conv2d(image(), ones([3, 2, 3, 3]), { padding: 1, bias: ones([3]) }))).toEqual([
    "conv2dAct [1,2,4,4] [3,2,3,3] [3] → [1,3,4,4]",
  ]);
  expect(told(() => upsampleNearest(image()))).toEqual(["upsampleNearest [1,2,4,4] → [1,2,8,8]"]);
  expect(told(() => topK(softmax(ones([2, 3])), 2))).toEqual(["softmax [2,3] → [2,3]", "topK [2,3] → [2,2] [2,2]"]);
});

test("what moves elements is told of, with what it was told", () => {
  const calls: OpCall[] = [];
  withBackend(referenceBackend(), () =>
    scope("test", () => {
      const see = (call: OpCall) => void calls.push(call);
      recordCalls(
        () => {
          const x = arange(6, { start: 1, step: 2 }).reshape([2, 3]).permute([1, 0]);
          const [first, second] = split(x, [1, 2]) as [Tensor, Tensor];
          concat([second, first])
            .slice([{ start: -2 }, { step: 2 }])
            .expand([4, 2, 1]);
        },
        { see },
      );
    }),
  );
  expect(calls.map((call) => [call.name, "attrs" in call && call.attrs])).toEqual([
    ["arange", { start: 1, step: 2 }],
    ["reshape", {}],
    ["permute", { axes: [1, 0] }],
    ["split", { axis: 0 }],
    ["concat", { axis: 0 }],
    ["slice", { starts: [1, 0], steps: [1, 2] }],
    ["expand", {}],
  ]);
});

test("outside nothing is told, and inside whether sizes are open", () => {
  expect(recordsAnySize()).toBe(false);
  expect(recordCalls(recordsAnySize, { see: () => {}, anySize: true })).toBe(true);
  expect(recordCalls(recordsAnySize, { see: () => {} })).toBe(false);
  expect(told(() => {})).toEqual([]);
});
