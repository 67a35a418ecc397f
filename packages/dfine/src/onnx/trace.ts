import {
  type AttributeCall,
  type Backend,
  type Dtype,
  type MapCall,
  noGrad,
  type OpCall,
  type RowCall,
  readTensors,
  recordCalls,
  scope,
  type Tensor,
  type TypedArray,
  withBackend,
  zeros,
} from "@dfine/tensor";
import { onPaper } from "../checkpoint/onPaper.ts";
import type { ModelConfig } from "../model/architectures.ts";
import type { Detector } from "../model/detector.ts";
import { isFixed, type Size, type Sized, together, unlike } from "./sizes.ts";

/** A tensor of all traces. */
export interface Value {
  readonly dtype: Dtype;
  readonly shape: readonly Size[];
  /** The step that gives it; none for inputs, and for what was there before. */
  readonly step?: Step;
  /** Its elements, where they do not depend on the inputs or their sizes. */
  readonly data?: TypedArray | undefined;
  /** Whether it follows from weights alone. */
  readonly isConstant: boolean;
  /** Of a weight, its name in the state dict. */
  readonly name?: string | undefined;
}

type Stepped<Call> = Omit<Call, "inputs" | "outputs" | "numbers" | "attrs"> & {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
};
/** A call of all traces. */
export type Step =
  | (Stepped<MapCall> & { readonly numbers: readonly Size[] })
  | (Stepped<RowCall> & { readonly numbers: readonly Size[] })
  | (Stepped<AttributeCall> & { readonly attrs: Sized<object> });

/** What a model computes of its inputs, step by step. */
export interface Trace {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  /** The sizes that vary: trace i + 1 changed the i-th alone. */
  readonly axes: readonly Size[];
}

/** Other handles on the elements that they read, or smaller copies that are cheaper made than stored. */
const VIEWS: ReadonlySet<string> = new Set(["reshape", "permute", "expand", "slice", "split"]);

type Recorded = Omit<OpCall, "inputs" | "outputs"> & { readonly inputs: number[]; readonly outputs: number[] };

/** The calls of one trace, with numbers in place of tensors. */
class Recording {
  readonly values: { dtype: Dtype; shape: readonly number[] }[] = [];
  readonly calls: Recorded[] = [];
  /** Handles on all that follows from no input and is no view. */
  readonly kept = new Map<number, Tensor>();
  readonly #numbers = new Map<object, Map<string, number>>();
  readonly #varying = new Set<number>();

  /** The number of a tensor: one for all handles on the same elements. */
  numberOf(tensor: Tensor): number | undefined {
    return this.#numbers.get(tensor.storage)?.get(layoutOf(tensor));
  }

  add(tensor: Tensor, { varies, keeps }: { varies: boolean; keeps: boolean }): number {
    const number = this.values.push({ dtype: tensor.dtype, shape: tensor.shape }) - 1;
    const layouts = this.#numbers.get(tensor.storage) ?? new Map<string, number>();
    this.#numbers.set(tensor.storage, layouts.set(layoutOf(tensor), number));
    if (varies) this.#varying.add(number);
    else if (keeps) this.kept.set(number, tensor.alias({ scoped: false }));
    return number;
  }

  see({ inputs, outputs, ...call }: OpCall): void {
    const from = inputs.map((tensor) => this.numberOf(tensor) ?? this.add(tensor, { varies: false, keeps: true }));
    if (outputs.every((tensor) => this.numberOf(tensor) !== undefined)) return;
    const varies = from.some((number) => this.#varying.has(number));
    const keeps = !VIEWS.has(call.name);
    const to = outputs.map((tensor) => this.add(tensor, { varies, keeps }));
    this.calls.push({ ...call, inputs: from, outputs: to } as Recorded);
  }

  dispose(): void {
    for (const tensor of this.kept.values()) tensor.dispose();
  }
}

const layoutOf = ({ offset, shape, strides }: Tensor): string => `${offset}:${shape}:${strides}`;

/** What is traced. */
export interface Traced {
  readonly inputs: readonly (readonly number[])[];
  /** Computes the outputs. */
  readonly run: (model: Detector, inputs: readonly Tensor[]) => readonly Tensor[];
  readonly anySize: boolean;
}

/** What is traced at sizes that vary: [batch, height, width]. */
export interface TraceCall extends Omit<Traced, "inputs"> {
  readonly sizes: readonly number[];
  /** Shapes of the inputs at such sizes. */
  readonly inputs: (sizes: readonly number[]) => readonly (readonly number[])[];
}

/** One trace of a model in deploy form. Inputs are zeros: what is computed must not depend on values. */
function record(model: Detector, { inputs, run, anySize }: Traced) {
  const recording = new Recording();
  const ends = scope("trace", () => {
    const tensors = inputs.map((shape) => zeros(shape));
    for (const tensor of tensors) recording.add(tensor, { varies: true, keeps: false });
    const outputs = noGrad(() =>
      recordCalls(() => run(model, tensors), { see: (call) => recording.see(call), anySize }),
    );
    return outputs.map((tensor) => recording.numberOf(tensor)!);
  });
  return { recording, ends };
}

/**
 * Traces a model in deploy form at the given sizes. Another batch, and with `anySize` another height and width, is traced on
 * paper, which shows what depends on it.
 */
export async function traceModel(
  { model, config, backend }: { model: Detector; config: ModelConfig; backend: Backend },
  { sizes, ...call }: TraceCall,
): Promise<Trace> {
  const steps = call.anySize ? [1, 32, 32] : [1];
  const others = steps.map((step, axis) => sizes.map((size, i) => (i === axis ? size + step : size)));
  const at = (of: readonly number[]): Traced => ({ ...call, inputs: call.inputs(of) });
  const first = withBackend(backend, () => record(model, at(sizes)));
  try {
    const kept = [...first.recording.kept];
    const elements = await readTensors(kept.map(([, tensor]) => tensor));
    const data = new Map(kept.map(([number], i) => [number, elements[i]!]));
    const names = new Map<number, string>();
    for (const [name, tensor] of model.stateDict()) {
      const number = first.recording.numberOf(tensor);
      if (number !== undefined && !names.has(number)) names.set(number, name);
    }
    const drawn = others.map((of) => onPaper(config, (detector) => record(detector.fuse(), at(of))));
    const all = [first, ...drawn];
    if (all.some(({ ends }) => ends.join() !== first.ends.join())) throw unlike();
    const axes = steps.map((_, axis) => [sizes, ...others].map((of) => of[axis]!));
    const values = joined(
      all.map(({ recording }) => recording),
      { data, names },
    );
    return {
      inputs: call.inputs(sizes).map((_, i) => values[i]!),
      outputs: first.ends.map((end) => values[end]!),
      axes,
    };
  } finally {
    first.recording.dispose();
  }
}

type Known = { readonly data: ReadonlyMap<number, TypedArray>; readonly names: ReadonlyMap<number, string> };

/** The values of all traces, in the order in which they were met. */
function joined(recordings: readonly Recording[], { data, names }: Known): Value[] {
  const [first] = recordings as [Recording];
  if (
    recordings.some(({ calls, values }) => calls.length !== first.calls.length || values.length !== first.values.length)
  )
    throw unlike();
  const shapes = first.values.map((_, i) => together(recordings.map(({ values }) => values[i]!.shape)) as Size[]);
  const values: Value[] = first.values.map(({ dtype }, i) => {
    const shape = shapes[i]!;
    const isConstant = data.has(i) && shape.every(isFixed);
    return { dtype, shape, isConstant, data: isConstant ? data.get(i) : undefined, name: names.get(i) };
  });
  first.calls.forEach(({ inputs, outputs, ...call }, c) => {
    const alike = recordings.map(({ calls }) => calls[c]!);
    if (
      alike.some(
        ({ name, inputs: from, outputs: to }) => name !== call.name || `${from}>${to}` !== `${inputs}>${outputs}`,
      )
    )
      throw unlike();
    const given = inputs.map((number) => values[number]!);
    const results: Value[] = [];
    const ends = { inputs: given, outputs: results };
    const step =
      "attrs" in call
        ? { ...call, ...ends, attrs: together(alike.map((each) => (each as unknown as AttributeCall).attrs)) }
        : { ...call, ...ends, numbers: together(alike.map((each) => (each as unknown as MapCall).numbers)) };
    const told: unknown = "attrs" in step ? step.attrs : step.numbers;
    const isConstant = given.every((value) => value.isConstant) && isFixedThroughout(told);
    for (const number of outputs) {
      const value = values[number]!;
      const stays = isConstant && value.shape.every(isFixed);
      values[number] = { ...value, step: step as Step, isConstant: stays, data: stays ? data.get(number) : undefined };
      results.push(values[number]!);
    }
  });
  return values;
}

/** Whether no number in what `together` gave differs from trace to trace. */
function isFixedThroughout(told: unknown): boolean {
  if (!Array.isArray(told))
    return told === null || typeof told !== "object" || Object.values(told).every(isFixedThroughout);
  return told.every((part) => typeof part === "number") ? isFixed(told as Size) : told.every(isFixedThroughout);
}
