import { forwardAxis, inputGradAxes } from "@dfine/tensor/kernel";
import fc from "fast-check";
import { expect, it } from "vitest";
import { type PaddedAxis, paddedAxis, type Walk } from "./paddedAxes.ts";

const size = (max: number) => fc.integer({ min: 1, max });
const geometry = fc.record({
  stride: size(4),
  dilation: size(3),
  before: fc.integer({ min: 0, max: 4 }),
  kernel: size(5),
});

/** [index in the kernel, position of the input] of every tap of output t, in the order in which they are summed. */
const reads = (axis: PaddedAxis, walk: Walk, t: number): (readonly [number, number])[] =>
  walk.taps.map(({ index, phase, shift }) => {
    expect(t + shift).toBeLessThan(axis.length);
    expect(t + shift).toBeGreaterThanOrEqual(0);
    return [index, (t + shift) * axis.phases + phase - axis.before];
  });

it("padded copies are read where windows say, by ascending index", () => {
  fc.assert(
    fc.property(geometry, size(8), size(12), ({ stride, dilation, before, kernel }, outputs, input) => {
      const attrs = { stride: [stride, 1], padding: [before, 0, 0, 0], dilation: [dilation, 1], groups: 1 } as const;
      const gradAttrs = { ...attrs, inputSize: [input, 1] } as const;
      const forward = { side: 0, kernel, outputs } as const;
      for (const windows of [[forwardAxis(attrs, forward)], inputGradAxes(gradAttrs, forward)]) {
        const axis = paddedAxis(windows);
        for (const [i, window] of windows.entries()) {
          const walk = axis.walks[i]!;
          expect(walk).toMatchObject({ start: window.start, outputs: window.outputs, outStep: window.outStep });
          for (let t = 0; t < window.outputs; t++) {
            const expected = Array.from({ length: window.taps }, (_, j) => [
              window.firstTap + j * window.tapIndexStep,
              t * window.step + window.base + j * window.tapStep,
            ]).sort(([a], [b]) => a! - b!);
            expect(reads(axis, walk, t)).toEqual(expected);
          }
        }
      }
    }),
  );
});
