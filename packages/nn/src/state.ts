import {
  copyInto,
  type Shape,
  sameShape,
  shapeText,
  Tensor,
  TensorError,
  type TypedArray,
  writeTensor,
} from "@dfine/tensor";
import { isDerived } from "./parameter.ts";

/** A tensor's values on the host, row-major. */
export interface HostTensor {
  readonly shape: Shape;
  readonly data: TypedArray;
}

/** A value to load: on a device or on the host. */
export type StateValue = Tensor | HostTensor;

/** How strictly to load. */
export interface LoadOptions {
  /** Whether names and shapes must all agree; default true. Otherwise what fits is loaded. */
  readonly strict?: boolean;
}

/** What a state dict and a module did not have in common. */
export interface LoadReport {
  /** Tensors of the module for which there was no value. */
  readonly missing: readonly string[];
  /** Names that the module does not have. */
  readonly unexpected: readonly string[];
  /** Names whose shapes differ. */
  readonly mismatched: readonly string[];
}

/** A state dict that does not belong to the module. */
export class StateDictError extends TensorError {
  override readonly name = "StateDictError";
  readonly report: LoadReport;

  constructor(message: string, report: LoadReport) {
    super(message);
    this.report = report;
  }
}

/** PyTorch counts batches per norm layer; nothing reads the number. */
const isCounter = (name: string): boolean => name.endsWith("num_batches_tracked");

const LISTED = 8;

function listed(label: string, names: readonly string[]): string[] {
  if (names.length === 0) return [];
  const more = names.length > LISTED ? `, and ${names.length - LISTED} more` : "";
  return [`${label}: ${names.slice(0, LISTED).join(", ")}${more}`];
}

function write(target: Tensor, value: StateValue): void {
  if (value instanceof Tensor) copyInto(target, value);
  else writeTensor(target, target.dtype === "f32" ? value.data : Int32Array.from(value.data));
}

/** What `state` and `targets` do not have in common, by name; see `Module.loadStateDict` for what may differ. */
export function compareState(
  targets: ReadonlyMap<string, Tensor>,
  state: ReadonlyMap<string, { readonly shape: Shape }>,
): LoadReport {
  const filled = new Set([...targets].filter(([name]) => state.has(name)).map(([, target]) => target));
  const names = [...targets].filter(([, target]) => !isDerived(target)).map(([name]) => name);
  return {
    missing: names.filter((name) => !filled.has(targets.get(name)!) && !isCounter(name)),
    unexpected: [...state.keys()].filter((name) => !targets.has(name) && !isCounter(name)),
    mismatched: names.filter((name) => state.has(name) && !sameShape(state.get(name)!.shape, targets.get(name)!.shape)),
  };
}

/** Copies `state` into `targets` by name; see `Module.loadStateDict`. */
export function loadState(
  targets: ReadonlyMap<string, Tensor>,
  state: ReadonlyMap<string, StateValue>,
  options: LoadOptions & { owner: string },
): LoadReport {
  const { missing, unexpected, mismatched } = compareState(targets, state);
  const shapes = (name: string) =>
    `${name} (${shapeText(state.get(name)!.shape)} in the file, ${shapeText(targets.get(name)!.shape)} in the model)`;
  const report = { missing, unexpected, mismatched: mismatched.map(shapes) };
  const problems = [
    ...listed("missing", missing),
    ...listed("unexpected", unexpected),
    ...listed("of another shape", report.mismatched),
  ];
  if (problems.length > 0 && options.strict !== false)
    throw new StateDictError(
      `${options.owner}: the weights do not fit this model; ${problems.join("; ")}. ` +
        "Choose the preset and classes they were made with, or load with { strict: false }",
      report,
    );
  for (const [name, target] of targets) {
    const value = state.get(name);
    if (value && sameShape(value.shape, target.shape)) write(target, value);
  }
  return report;
}
