import { record, recordsGradient } from "../autograd/tape.ts";
import type { Backend, Override } from "../backend.ts";
import type { Dtype } from "../dtype.ts";
import { GradientError } from "../errors.ts";
import { noGrad, runtime } from "../runtime.ts";
import { scope } from "../scope.ts";
import type { Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { OpAttrs } from "./attrs.ts";
import { checkInputs, inputRules, type Takes } from "./inputs.ts";
import { tell, unrecorded } from "./recorder.ts";
import { type Meaning, register, registerMeaning, type Trials } from "./registry.ts";
import { empty } from "./result.ts";

/** What an op will give, before it runs. */
export interface OutputSpec {
  readonly shape: Shape;
  readonly dtype: Dtype;
}

/** What an op's gradient is computed from. Tensors that `saves` does not list are undefined. */
export interface OpBackprop<Attrs> {
  readonly inputs: readonly (Tensor | undefined)[];
  readonly outputs: readonly (Tensor | undefined)[];
  readonly inputShapes: readonly Shape[];
  readonly attrs: Attrs;
  readonly grads: readonly (Tensor | undefined)[];
  readonly needs: readonly boolean[];
  /** Places where gradients may be written. */
  readonly into: readonly (Tensor | undefined)[];
}

/** What `defineOp` must be told. */
export interface OpDefinition<Attrs> extends Trials<StructuredOp<Attrs>> {
  /** Names, element types and axes of the inputs. */
  readonly takes: Takes;
  /** Gives the outputs, after checking what `takes` cannot tell. */
  infer(inputs: readonly Tensor[], attrs: Attrs): readonly OutputSpec[];
  /** The op's meaning, in other ops and generated kernels. */
  fallback(inputs: readonly Tensor[], attrs: Attrs): readonly Tensor[];
  /** Whether the fallback is recorded op by op where it runs: its gradient then reads what it has computed. */
  readonly recordsFallback?: boolean;
  /** Gradients of the inputs; an op without it can be used where no gradient is wanted. */
  readonly vjp?: (call: OpBackprop<Attrs>) => readonly (Tensor | undefined)[];
  /** Which inputs and outputs `vjp` reads. */
  readonly saves?: { readonly inputs?: readonly number[]; readonly outputs?: readonly number[] };
  /** Whether hand-written kernels take inputs with any strides; otherwise they get contiguous ones. */
  readonly strided?: boolean;
}

/** Calls an op that has attributes. */
export type StructuredOp<Attrs> = (
  inputs: readonly Tensor[],
  attrs: Attrs,
  /** Where its one output may be written, by a kernel that writes contiguous tensors. */
  into?: Tensor,
) => readonly Tensor[];

/** Elements to multiples of which kernels may align what they write. */
const ALIGNMENT = 4;

/**
 * Defines a structured op: a fallback that every backend runs, a hand-written kernel where a backend has one for these
 * shapes, a gradient.
 */
export function defineOp<Name extends keyof OpAttrs>(
  name: Name,
  definition: OpDefinition<OpAttrs[Name]>,
): StructuredOp<OpAttrs[Name]> {
  const { cases, refuses, vjp, saves = {} } = definition;
  const rules = inputRules(definition.takes);

  const compute = (
    backend: Backend,
    { inputs, attrs, into }: { inputs: readonly Tensor[]; attrs: OpAttrs[Name]; into: Tensor | undefined },
  ): readonly Tensor[] => {
    const specs = definition.infer(inputs, attrs);
    const override = runtime.disabledOverrides.has(name)
      ? undefined
      : (backend.overrides[name] as Override<OpAttrs[Name]> | undefined);
    const compose = () => definition.fallback(inputs, attrs);
    const fallback = () => (definition.recordsFallback ? compose() : noGrad(compose));
    if (!override || specs.every((spec) => spec.shape.includes(0))) return scope(name, fallback);
    return scope(name, () => {
      const asTheyLie = inputs.map((t) => t.view);
      const isWhole = inputs.map((t) => definition.strided || t.isContiguous);
      const accepted = isWhole.every(Boolean) ? [] : (override.accepts?.(asTheyLie, attrs) ?? []);
      const views = inputs.map((t, i) =>
        isWhole[i] || accepted[i] ? asTheyLie[i]! : noGrad(() => t.contiguous()).view,
      );
      const variant = override.select(views, attrs);
      if (variant === undefined) return fallback();
      const place = into?.isContiguous && into.offset % ALIGNMENT === 0 ? into : undefined;
      const outputs = specs.map((spec) => place ?? empty(backend, spec.shape, spec.dtype));
      runtime.trace?.({ op: name, kernel: variant, shapes: inputs.map((input) => input.shape) });
      override.run({ variant, inputs: views, outputs: outputs.map((output) => output.view), attrs });
      return outputs;
    });
  };

  const recordOp = (inputs: readonly Tensor[], outputs: readonly Tensor[], attrs: OpAttrs[Name]): void => {
    const inputShapes = inputs.map((input) => input.shape);
    const count = inputs.length;
    const read = (tensors: readonly Tensor[], which: readonly number[] = []) =>
      tensors.map((t, i) => (vjp && which.includes(i) ? t : undefined));
    record(name, outputs, {
      inputs,
      saves: [...read(inputs, saves.inputs), ...read(outputs, saves.outputs)],
      vjp: ({ grads, needs, into, saved }) => {
        if (!vjp) throw new GradientError(`${name} has no gradient; detach() its inputs or use an op that has one`);
        const [given, made] = [saved.slice(0, count), saved.slice(count)];
        return vjp({ grads, needs, into, inputs: given, outputs: made, inputShapes, attrs });
      },
    });
  };

  const op: StructuredOp<OpAttrs[Name]> = (inputs, attrs, into) => {
    const backend = checkInputs(name, inputs, rules)!;
    const outputs = unrecorded(() => compute(backend, { inputs, attrs, into }));
    tell({ kind: "op", name, inputs, attrs, outputs });
    const isRecorded = outputs.some(({ edge }) => edge);
    if (!isRecorded && recordsGradient(inputs)) recordOp(inputs, outputs, attrs);
    return outputs;
  };
  const call = (...inputs: Tensor[]) => op(inputs, {} as OpAttrs[Name]);
  register({ name, kind: "op", op, rules, call, cases, refuses });
  registerMeaning(name, definition.fallback as Meaning);
  return op;
}
