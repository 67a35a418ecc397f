import { type GpuRuntime, wgslKernel } from "@dfine/backend-webgpu";
import { casesOf, ShapeError, type Tensor } from "@dfine/tensor";
import * as k from "@dfine/tensor/kernel";

declare module "@dfine/tensor/kernel" {
  interface OpAttrs {
    /** x [R, N] → [R, N]: sums of each row up to every element, or from it on when reversed. */
    cumulativeSum: { readonly reverse: boolean };
  }
}

// What the op means, as a loop nest: axes are row and element of the result, then the elements that are summed.
const [at, other] = [k.axisIndex(1), k.axisIndex(2)];
const program = (reverse: boolean) =>
  k.makeProgram("cumulativeSum", {
    operands: [k.readOperand("f32"), k.writeOperand("f32")],
    params: [],
    stages: [
      { kind: "reduce", op: "sum", expr: (reverse ? at.le(other) : other.le(at)).select(k.load(0), 0) },
      { kind: "store", perRow: true, writes: [{ operand: 1, expr: k.row(0) }] },
    ],
  });
const programs = { forward: program(false), reverse: program(true) };

const op: k.StructuredOp<k.OpAttrs["cumulativeSum"]> = k.defineOp("cumulativeSum", {
  takes: ["x"],
  infer: ([x]) => {
    if (x!.rank !== 2) throw new ShapeError(`cumulativeSum: takes rows [R, N], got [${x!.shape}]`);
    return [{ shape: x!.shape, dtype: "f32" }];
  },
  // N² reads, on every backend.
  fallback: ([x], { reverse }) => {
    const [rows, n] = x!.shape as [number, number];
    const [ofRow, ofElement] = x!.strides as [number, number];
    const y = k.empty(x!.backend, x!.shape, "f32");
    const operands = [k.bind(x!, [ofRow, 0, ofElement]), k.bind(y, [n, 1, 0])];
    k.launch(x!.backend, programs[reverse ? "reverse" : "forward"], {
      mapSizes: [rows, n],
      reduceSizes: [n],
      operands,
    });
    return [y];
  },
  // An element counts in every sum after it: its gradient is the sum of theirs.
  vjp: ({ attrs, grads: [dy] }) => op([dy!], { reverse: !attrs.reverse }),
  cases: () =>
    casesOf("3x5 2x65 1x1 0x4", (shape) => ({
      inputs: [{ shape }],
      run: (x) => [cumulativeSum(x), ...op([x], { reverse: true })],
    })),
  refuses: () => [
    {
      name: "a vector",
      inputs: [{ shape: [3] }],
      run: (x) => op([x], { reverse: false }),
      error: ShapeError,
    },
  ],
});

/** Sums of each row of x [R, N] up to every element. @throws ShapeError */
export const cumulativeSum = (x: Tensor): Tensor => op([x], { reverse: false })[0]!;

const kernel = wgslKernel({
  name: "cumulativeSum.rows",
  bindings: { x: "read f32", y: "write f32" },
  uniforms: { rows: "i32", n: "i32", reverse: "i32" },
  body: `
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  let first = i32(id.x) * u.n;
  if (i32(id.x) >= u.rows) { return; }
  var sum = 0.0;
  for (var step = 0; step < u.n; step++) {
    let i = first + select(step, u.n - 1 - step, u.reverse == 1);
    sum += x[u.o_x + i];
    y[u.o_y + i] = sum;
  }
}`,
});

/** A thread per row, N reads: `webgpu({ kernels: cumulativeSumKernels })`. */
export const cumulativeSumKernels = (runtime: GpuRuntime): k.Overrides => ({
  cumulativeSum: {
    select: ([x]) => (x!.shape[0]! <= 64 * 65535 ? "rows" : undefined),
    run({ inputs: [x], outputs: [y], attrs }) {
      const [rows, n] = x!.shape as [number, number];
      const uniforms = { rows, n, reverse: attrs.reverse ? 1 : 0 };
      runtime.dispatch(kernel, { views: { x: x!, y: y! }, uniforms, workgroups: [Math.ceil(rows / 64)] });
    },
  },
});
