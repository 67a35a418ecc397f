import {
  type Dtype,
  defineMap,
  type OpCase,
  Random,
  readTensors,
  referenceBackend,
  Scope,
  type Tensor,
  type TypedArray,
  tensor,
} from "@dfine/tensor";
import { type Expr, OPERAND_DTYPES, type Operation, UNARY } from "@dfine/tensor/kernel";
import { registeredOps } from "@dfine/tensor/testing";
import { InferenceSession, Tensor as OnnxTensor } from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import "../index.ts";
import { onnxFile } from "./file.ts";
import { ELEMENT } from "./graph.ts";
import { Recording } from "./recording.ts";
import { joinRuns } from "./trace.ts";
import { writeGraph } from "./writeGraph.ts";

const backend = referenceBackend({ floatBits: 32 });

function drawn(name: string, inputs: OpCase["inputs"]): (Tensor | number)[] {
  return inputs.map((spec, i) => {
    if (typeof spec === "number") return spec;
    const random = new Random(3).fork(`${name} ${i}`);
    const { shape, dtype = "f32", range: [low, high] = [-1, 1], below } = spec;
    const draw = (): number => {
      if (dtype === "f32") return low + (high - low) * random.uniform();
      return dtype === "bool" ? random.integer(2) : below ? random.integer(below) : random.integer(41) - 20;
    };
    const length = shape.reduce((a, b) => a * b, 1);
    return tensor(Array.from({ length }, draw), shape, { dtype, backend });
  });
}

const bytesOf = (values: TypedArray): Uint8Array => Uint8Array.from(values);

/** Runs a case here, and in onnxruntime what was recorded of it. */
async function bothWays(name: string, { inputs, run }: Pick<OpCase, "inputs" | "run">) {
  using flow = new Scope("case", { backend, gradients: false });
  const all = drawn(name, inputs);
  const tensors = all.filter((input) => typeof input !== "number");
  let results: readonly Tensor[] = [];
  using recording = flow.run(
    () => new Recording(tensors, () => (results = run(...(all as Tensor[])).filter((result) => result !== undefined))),
  );
  const ours = await readTensors(results);
  const trace = await joinRuns([recording], { count: tensors.length });
  const { graph, outputs } = writeGraph(trace, (_, i) => `input ${i}`);
  for (const [i, output] of outputs.entries()) graph.rename(output, `output ${i}`);
  const portsOf = (kind: string, values: typeof trace.inputs) =>
    values.map(({ dtype, shape }, i) => ({
      name: `${kind} ${i}`,
      element: ELEMENT[dtype],
      dims: shape.map(([n]) => n!),
    }));
  const file = onnxFile({
    graph,
    inputs: portsOf("input", trace.inputs),
    outputs: portsOf("output", trace.outputs),
    metadata: {},
  });
  const session = await InferenceSession.create(file, { intraOpNumThreads: 1, graphOptimizationLevel: "disabled" });
  const values = await readTensors(tensors);
  const feeds = Object.fromEntries(
    tensors.map(({ dtype, shape }, i) => {
      const data =
        dtype === "bool" ? bytesOf(values[i]!) : dtype === "f32" ? Float32Array.from(values[i]!) : values[i]!;
      return [`input ${i}`, new OnnxTensor(ELEMENT[dtype] as "float32", data as Float32Array, shape)];
    }),
  );
  const theirs = await session.run(feeds);
  await session.release();
  return { ours, theirs: ours.map((_, i) => Array.from(theirs[`output ${i}`]!.data as Float32Array, Number)) };
}

async function expectAlike(name: string, opCase: Pick<OpCase, "inputs" | "run">): Promise<void> {
  const { ours, theirs } = await bothWays(name, opCase);
  for (const [k, expected] of ours.entries()) {
    expect(theirs[k], name).toHaveLength(expected.length);
    for (let i = 0; i < expected.length; i++)
      if (!(Math.abs(theirs[k]![i]! - expected[i]!) <= 2e-5 * (1 + Math.abs(expected[i]!))))
        expect(theirs[k]![i], `${name}, output ${k}, element ${i}`).toBe(expected[i]);
  }
}

/** Of training, or without inputs, and what nothing that is exported uses. */
const NOT_EXPORTED = /Grad$|^indexAdd$|^uniform$|^bitsTensor$|^dropout$|^copyInto$/;
const isRecorded = ({ inputs, updates }: OpCase): boolean =>
  !updates && inputs.every((input) => typeof input === "number" || !input.shape.includes(0));

describe("an op computes in onnxruntime what it computes here", () => {
  for (const op of registeredOps()) {
    if (op.kind === "update" || NOT_EXPORTED.test(op.name) || op.cases().length === 0) continue;
    test(op.name, async () => {
      for (const opCase of op.cases().filter(isRecorded)) await expectAlike(`${op.name} ${opCase.name}`, opCase);
    });
  }
});

describe("an operation of formulas computes in onnxruntime what it computes here", () => {
  // What `cast` and `select` do the ops above show; ONNX has no `bitcast`.
  const { cast: _1, select: _2, bitcast: _3, ...operations } = OPERAND_DTYPES;
  for (const [name, dtypes] of Object.entries(operations) as [Operation, readonly Dtype[]][])
    test.each(dtypes)(`${name} of %s`, async (dtype) => {
      const isUnary = name in UNARY;
      const apply = (a: Expr, b: Expr): Expr =>
        (a as unknown as Record<string, (...others: Expr[]) => Expr>)[name]!(...(isUnary ? [] : [b]));
      const op: (...inputs: Tensor[]) => Tensor = isUnary
        ? defineMap(`onnx ${name} ${dtype}`, (a: Expr) => apply(a, a), { dtypes: [dtype] })
        : defineMap(`onnx ${name} ${dtype}`, (a: Expr, b: Expr) => apply(a, b), { dtypes: [dtype] });
      const input = { shape: [64], dtype, range: [0.1, 2] } as const;
      const divides = dtype === "i32" && (name === "div" || name === "rem");
      // Nothing is divided by 0.
      const second = divides ? { ...input, below: 7 } : input;
      await expectAlike(name, {
        inputs: isUnary ? [input] : [input, second],
        run: (...given) => [op(...(divides ? [given[0]!, given[1]!.add(1)] : given))],
      });
    });
});
