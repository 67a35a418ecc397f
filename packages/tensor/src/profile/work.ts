import type { Backend, Binding, Launch, View } from "../backend.ts";
import { type Expr, postorder } from "../kernel/expr.ts";
import { axesOf, type Kernel, type Stage, stageExpressions } from "../kernel/kernel.ts";
import { memo } from "../memo.ts";
import { metaBackend } from "../metaBackend.ts";
import { meaningOf } from "../ops/registry.ts";
import { empty } from "../ops/result.ts";
import { withRuntime } from "../runtime.ts";
import { scope } from "../scope.ts";

/** What a call asks for, however it is computed. */
export interface KernelWork {
  /** Operations on float numbers, a multiply-add being two. */
  readonly flops: number;
  /** Bytes that must be read or written: each element that an operand reaches, once. */
  readonly bytes: number;
}

const ELEMENT_BYTES = 4;
/** Nodes of an expression that give a float without computing one. */
const FREE: readonly Expr["op"][] = ["load", "select", "cast", "bitcast"];

/** Operations for one element of a stage. */
const operationsOf = (stage: Stage): number =>
  postorder(stageExpressions(stage)).filter(
    ({ op, dtype, args }) => dtype === "f32" && args.length > 0 && !FREE.includes(op),
  ).length +
  (stage.kind === "reduce" ? Number(stage.expr.dtype === "f32") : stage.writes.filter(({ index }) => index).length);

/** Of a generated kernel: operations of its stages' expressions for each element that they see. */
export function workOfKernel(kernel: Kernel, { sizes, operands }: Launch): KernelWork {
  const along = (axes: readonly number[]): number => axes.reduce((count, axis) => count * sizes[axis]!, 1);
  const rows = along(axesOf(kernel, "map"));
  const elements = rows * along(axesOf(kernel, "reduce"));
  const flops = kernel.stages.reduce(
    (sum, stage) => sum + operationsOf(stage) * (stage.kind === "store" && stage.perRow ? rows : elements),
    0,
  );
  const reached = ({ strides, length }: Binding, i: number): number => {
    const { mode, indexed } = kernel.operands[i]!;
    const walked = sizes.reduce((count, size, axis) => (strides[axis] === 0 ? count : count * size), 1);
    return Math.min(length, indexed ? elements : walked) * (mode === "update" ? 2 : 1);
  };
  return { flops, bytes: ELEMENT_BYTES * operands.reduce((sum, binding, i) => sum + reached(binding, i), 0) };
}

const elementsOf = ({ shape, strides }: View): number =>
  shape.reduce((count, size, axis) => (strides[axis] === 0 ? count : count * size), 1);

interface OpCall {
  readonly inputs: readonly View[];
  readonly outputs: readonly View[];
  readonly attrs: object;
}

/** Of a hand-written kernel: operations of what the op is made of elsewhere, and the bytes of its inputs and outputs. */
export function workOfOp(op: string, { inputs, outputs, attrs }: OpCall): KernelWork {
  const bytes = ELEMENT_BYTES * [...inputs, ...outputs].reduce((sum, view) => sum + elementsOf(view), 0);
  // As it is defined, this gradient also multiplies the zeros between the steps of a stride.
  const flops =
    op === "conv2dInputGrad" ? flopsOf("conv2d", [outputs[0]!, inputs[1]!], attrs) : flopsOf(op, inputs, attrs);
  return { flops, bytes };
}

const known = new Map<string, number>();

function flopsOf(op: string, inputs: readonly View[], attrs: object): number {
  const key = `${op} ${inputs.map(({ shape, dtype }) => `${dtype}${shape.join("×")}`).join()} ${JSON.stringify(attrs)}`;
  return memo(known, key, () => rehearse(op, inputs, attrs));
}

/** Runs an op's meaning on a backend of shapes alone, and adds up its kernels. */
function rehearse(op: string, inputs: readonly View[], attrs: object): number {
  let flops = 0;
  const backend: Backend = {
    ...metaBackend(),
    run: (kernel, launch) => {
      flops += workOfKernel(kernel, launch).flops;
    },
  };
  const change = { backend, gradientEnabled: false, trace: undefined };
  withRuntime(change, () =>
    scope(
      "work",
      () =>
        void meaningOf(op)?.(
          inputs.map(({ shape, dtype }) => empty(backend, shape, dtype)),
          attrs,
        ),
    ),
  );
  return flops;
}
