import { ExportError } from "../exportError.ts";
import { writeExpression } from "./expressions.ts";
import { ELEMENT, Graph, SizeWriter } from "./graph.ts";
import { writeRow } from "./rows.ts";
import { type OpCallOf, RULES } from "./rules.ts";
import { fixed, type Size } from "./sizes.ts";
import type { Step, Trace, Value } from "./trace.ts";

/** A graph that computes what was traced; values are put down when they are first needed. */
export interface WrittenGraph {
  readonly graph: Graph;
  /** How the trace's outputs are called in it. */
  readonly outputs: readonly string[];
}

/** Views of constants stay nodes, so that weights keep their names and shapes; runtimes compute them once. */
const isStored = ({ isConstant, data }: Value): boolean => isConstant && data !== undefined;

/** Writes a trace as a graph whose inputs have these names, or are what `input` makes of them. @throws ExportError */
export function writeGraph(trace: Trace, input: (graph: Graph, index: number) => string): WrittenGraph {
  const graph = new Graph();
  const names = new Map<Value, string>(trace.inputs.map((value, i) => [value, input(graph, i)]));
  const sizes = new SizeWriter(graph, trace.inputs[0] ? names.get(trace.inputs[0])! : "", trace.axes);

  const nameOf = (value: Value): string => {
    const known = names.get(value);
    if (known !== undefined) return known;
    if (isStored(value)) {
      const name = store(value, constantName(value));
      names.set(value, name);
      return name;
    }
    if (!value.step)
      throw new ExportError(
        "onnx: a constant of the model follows from the size of its images; export it for one size",
      );
    for (const [i, name] of write(value.step).entries())
      if (name !== undefined) names.set(value.step.outputs[i]!, name);
    return names.get(value)!;
  };

  const store = ({ dtype, shape, data }: Value, wanted: string, values = data!): string => {
    const elements = dtype === "bool" ? Uint8Array.from(values) : dtype === "f32" ? Float32Array.from(values) : values;
    return graph.constant({
      name: graph.unique(wanted),
      element: ELEMENT[dtype],
      dims: shape.map(fixed),
      data: elements,
    });
  };

  const scaled = (weight: Value, factor: Value): string | undefined => {
    if (!isStored(weight) || !isStored(factor)) return undefined;
    const [values, factors] = [weight.data!, factor.data!];
    const each = values.length / factors.length;
    return store(
      weight,
      constantName(weight),
      Float32Array.from(values, (w, i) => w * factors[Math.floor(i / each)]!),
    );
  };

  const write = (step: Step): readonly (string | undefined)[] => {
    if (step.kind === "row") return writeRow(step, { graph, sizes, inputs: step.inputs.map(nameOf) });
    if (step.kind === "map")
      return [
        writeExpression(step.result, graph, {
          load: (operand) => nameOf(step.inputs[operand]!),
          param: (index, dtype) => sizes.number(step.numbers[index] as Size, dtype),
        }),
      ];
    const rule = (
      RULES as Readonly<Record<string, ((call: OpCallOf<object>) => readonly (string | undefined)[]) | undefined>>
    )[step.name];
    if (!rule) throw new ExportError(`onnx: the op ${step.name} has no ONNX form; give it a rule in onnx/rules.ts`);
    const { inputs, outputs, attrs } = step;
    return rule({
      ...{ graph, sizes, inputs, outputs, attrs, scaled, name: nameOf },
      // When it is asked for: a weight that something is multiplied into is not stored as it was.
      get names() {
        return inputs.map(nameOf);
      },
    });
  };

  return { graph, outputs: trace.outputs.map(nameOf) };
}

/** A weight's name in the state dict; of what is computed of it, with the ops behind it. */
function constantName({ name, step }: Value): string {
  if (name !== undefined) return name;
  const source = step?.inputs[0];
  return source ? `${constantName(source)}/${step.name}` : (step?.name ?? "constant");
}
