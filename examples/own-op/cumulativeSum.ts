import { type GpuRuntime, wgslKernel } from "@dfine/backend-webgpu";
import { arange, caseOf, defineCall, less, logicalNot, matmul, type Tensor, toFloat } from "@dfine/tensor";
import { defineOp, type OpAttrs, type Overrides, type StructuredOp } from "@dfine/tensor/kernel";

declare module "@dfine/tensor/kernel" {
  interface OpAttrs {
    /** x [R, N] → [R, N]: sums of each row up to every element, or from it on when reversed. */
    cumulativeSum: { readonly reverse: boolean };
  }
}

const takes = ["x [R, N]"];

const op: StructuredOp<OpAttrs["cumulativeSum"]> = defineOp("cumulativeSum", {
  takes,
  infer: ([x]) => [{ shape: x!.shape, dtype: "f32" }],
  // What it means, on every backend: x times a triangle of ones.
  fallback: ([x], { reverse }) => {
    const sum = arange(x!.shape[1]!, { backend: x!.backend });
    const term = sum.unsqueeze(1);
    return [matmul(x!, toFloat(logicalNot(reverse ? less(term, sum) : less(sum, term))))];
  },
  // An element counts in every sum after it: its gradient is the sum of theirs.
  vjp: ({ attrs, grads: [dy] }) => op([dy!], { reverse: !attrs.reverse }),
  cases: () =>
    ["3x5", "2x65", "1x1", "0x4"].map((shape) =>
      caseOf(shape, (x) => [cumulativeSum(x), ...op([x], { reverse: true })]),
    ),
});

/** Sums of each row of x [R, N] up to every element. @throws ShapeError */
export const cumulativeSum = defineCall("cumulativeSum", takes, (x: Tensor) => op([x], { reverse: false })[0]!);

const kernel = wgslKernel({
  name: "cumulativeSum.rows",
  bindings: { x: "read f32", y: "write f32" },
  uniforms: { rows: "i32", n: "i32", reverse: "i32" },
  body: `
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (i32(id.x) >= u.rows) { return; }
  var sum = 0.0;
  for (var step = 0; step < u.n; step++) {
    let i = i32(id.x) * u.n + select(step, u.n - 1 - step, u.reverse == 1);
    sum += x[u.o_x + i];
    y[u.o_y + i] = sum;
  }
}`,
});

/** A thread per row: `webgpu({ kernels: cumulativeSumKernels })`. */
export const cumulativeSumKernels = (runtime: GpuRuntime): Overrides => ({
  cumulativeSum: {
    select: ([x]) => (x!.shape[0]! <= 64 * 65535 ? "rows" : undefined),
    run({ inputs: [x], outputs: [y], attrs }) {
      const [rows, n] = x!.shape as [number, number];
      const uniforms = { rows, n, reverse: attrs.reverse ? 1 : 0 };
      runtime.dispatch(kernel, { views: { x: x!, y: y! }, uniforms, workgroups: [Math.ceil(rows / 64)] });
    },
  },
});
