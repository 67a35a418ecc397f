import {
  type AttributeCall,
  type Backend,
  type Dtype,
  type MapCall,
  type RowCall,
  readTensors,
  scope,
  type Tensor,
  type TypedArray,
  withBackend,
  zeros,
} from "@dfine/tensor";
import { onPaper } from "../checkpoint/onPaper.ts";
import { ARCHITECTURES, type ModelConfig } from "../model/architectures.ts";
import type { Detector } from "../model/detector.ts";
import { Recording } from "./recording.ts";
import { isFixed, type Size, type Sized, together, unlike } from "./sizes.ts";

/** A tensor of all runs. */
export interface Value {
  readonly dtype: Dtype;
  readonly shape: readonly Size[];
  /** The step that gives it; none for inputs, and for what was there before. */
  readonly step?: Step;
  /** Whether it depends neither on the inputs nor on their sizes. */
  readonly isConstant: boolean;
  /** Elements of a constant that is no view of another. */
  readonly data?: TypedArray | undefined;
  /** Of a weight, its name in the state dict. */
  readonly name?: string | undefined;
}

type Ends = "inputs" | "outputs" | "numbers" | "attrs";
type Stepped<Call> = Omit<Call, Ends> & { readonly inputs: readonly Value[]; readonly outputs: readonly Value[] };

/** A call of all runs. */
export type Step =
  | (Stepped<MapCall> & { readonly numbers: readonly Size[] })
  | (Stepped<RowCall> & { readonly numbers: readonly Size[] })
  | (Stepped<AttributeCall> & { readonly attrs: Sized<object> });

/** What is computed of inputs, as steps that lead to the outputs. */
export interface Trace {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  /** The sizes that vary: run i + 1 changed the i-th alone. */
  readonly axes: readonly Size[];
}

/** What is traced at sizes that vary: [batch, height, width]. */
export interface TraceCall {
  readonly sizes: readonly number[];
  /** Shapes of the inputs at such sizes. */
  readonly inputs: (sizes: readonly number[]) => readonly (readonly number[])[];
  /** Computes the outputs. It must not depend on values, and gets zeros. */
  readonly run: (model: Detector, inputs: readonly Tensor[]) => readonly Tensor[];
  /** Whether height and width vary too, by multiples of the coarsest stride. */
  readonly anySize: boolean;
}

/**
 * Traces a model in deploy form at the given sizes. Another batch, and with `anySize` another height and width, is traced on
 * paper, which shows what depends on it.
 */
export async function traceModel(
  { model, config, backend }: { model: Detector; config: ModelConfig; backend: Backend },
  { sizes, inputs, run, anySize }: TraceCall,
): Promise<Trace> {
  const { stride } = ARCHITECTURES.plan(config).facts();
  const steps = anySize ? [1, stride, stride] : [1];
  const others = steps.map((step, axis) => sizes.map((size, i) => (i === axis ? size + step : size)));
  const record = (of: Detector, at: readonly number[]): Recording =>
    scope("trace", () => {
      const given = inputs(at).map((shape) => zeros(shape));
      return new Recording(given, () => run(of, given), anySize);
    });
  using first = withBackend(backend, () => record(model, sizes));
  const drawn = others.map((at) => onPaper(config, (detector) => record(detector.fuse(), at)));
  const axes = steps.map((_, axis) => [sizes, ...others].map((at) => at[axis]!));
  return await joinRuns([first, ...drawn], { count: inputs(sizes).length, axes, weights: model.stateDict() });
}

/** How runs are joined. */
export interface JoinOptions {
  /** Of inputs. */
  readonly count: number;
  readonly axes?: readonly Size[];
  /** Tensors that have names. */
  readonly weights?: ReadonlyMap<string, Tensor>;
}

/** Joins runs that did the same at different sizes; elements of constants are the first one's. @throws ExportError */
export async function joinRuns(runs: readonly Recording[], { count, axes = [], weights }: JoinOptions): Promise<Trace> {
  const [first] = runs as [Recording];
  const isAlike = ({ calls, tensors, outputs }: Recording): boolean =>
    calls.length === first.calls.length &&
    tensors.length === first.tensors.length &&
    outputs.join() === first.outputs.join();
  if (!runs.every(isAlike)) throw unlike();
  const kept = [...first.kept];
  const elements = await readTensors(kept.map(([, tensor]) => tensor));
  const data = new Map(kept.map(([number], i) => [number, elements[i]!]));
  const names = new Map<number, string>();
  for (const [name, tensor] of weights ?? []) {
    const number = first.numberOf(tensor);
    if (number !== undefined && !names.has(number)) names.set(number, name);
  }
  const values = first.tensors.map(({ dtype }, i): Value => {
    const shape = together(runs.map(({ tensors }) => tensors[i]!.shape)) as readonly Size[];
    const isConstant = data.has(i) && shape.every(isFixed);
    return { dtype, shape, isConstant, data: isConstant ? data.get(i) : undefined, name: names.get(i) };
  });
  for (const c of first.calls.keys())
    addStep(
      values,
      runs.map(({ calls }) => calls[c]!),
    );
  return { inputs: values.slice(0, count), outputs: first.outputs.map((number) => values[number]!), axes };
}

/** Makes one step of a call of all runs, and gives it to the values that it leads to. */
function addStep(values: Value[], calls: readonly Recording["calls"][number][]): void {
  const [{ inputs, outputs, ...call }] = calls as [Recording["calls"][number]];
  const ends = (of: Recording["calls"][number]): string => `${of.name} ${of.inputs} ${of.outputs}`;
  if (calls.some((other) => ends(other) !== ends(calls[0]!))) throw unlike();
  const results: Value[] = [];
  const given = { inputs: inputs.map((number) => values[number]!), outputs: results };
  const told = together(calls.map((each) => ("attrs" in each ? each.attrs : "numbers" in each ? each.numbers : [])));
  const step = { ...call, ...given, ["attrs" in call ? "attrs" : "numbers"]: told } as unknown as Step;
  const isConstant = given.inputs.every((value) => value.isConstant) && isFixedThroughout(told);
  for (const number of outputs) {
    const value = values[number]!;
    const stays = isConstant && value.shape.every(isFixed);
    values[number] = { ...value, step, isConstant: stays, data: stays ? value.data : undefined };
    results.push(values[number]!);
  }
}

/** Whether no number in what `together` gave differs from run to run. */
function isFixedThroughout(told: unknown): boolean {
  if (!Array.isArray(told))
    return told === null || typeof told !== "object" || Object.values(told).every(isFixedThroughout);
  return told.every((part) => typeof part === "number") ? isFixed(told as Size) : told.every(isFixedThroughout);
}
