import { axesOf, type Kernel, type Launch, wordOf } from "@dfine/tensor/kernel";

/** Which axes a thread owns one index of (rows), and which it loops over. */
export interface Nest {
  readonly rows: readonly number[];
  readonly loops: readonly number[];
  /** The fastest axis: of the loops, or where there are none of the rows. */
  readonly innermost: number | undefined;
}

export const isElementwise = (kernel: Kernel): boolean =>
  kernel.stages.every((stage) => stage.kind === "store" && !stage.perRow);

/** A kernel of nothing but elementwise stores has no reason to loop: every element is a row of its own. */
export function nestOf(kernel: Kernel): Nest {
  const [rows, loops] = [axesOf(kernel, "map"), axesOf(kernel, "reduce")];
  if (isElementwise(kernel)) return { rows: [...rows, ...loops], loops: [], innermost: loops.at(-1) ?? rows.at(-1) };
  return { rows, loops, innermost: loops.at(-1) ?? rows.at(-1) };
}

/** One 32-bit word of a kernel's uniforms. */
export type Field =
  | { readonly kind: "first" | "last" }
  | { readonly kind: "size" | "laneShift" | "laneMask"; readonly axis: number }
  | { readonly kind: "offset" | "length"; readonly operand: number }
  | { readonly kind: "stride"; readonly operand: number; readonly axis: number }
  | { readonly kind: "param"; readonly index: number };

/** What a kernel needs to be told at each launch: rows of this dispatch, sizes, offsets, strides, parameters. */
export function fieldsOf(kernel: Kernel, nest: Nest, options: { lanes: boolean }): Field[] {
  const axes = kernel.axes.map((_, axis) => axis);
  return [
    { kind: "first" },
    { kind: "last" },
    ...axes.map((axis): Field => ({ kind: "size", axis })),
    ...(options.lanes
      ? nest.loops.flatMap((axis): Field[] => [
          { kind: "laneShift", axis },
          { kind: "laneMask", axis },
        ])
      : []),
    ...kernel.operands.flatMap((operand, k): Field[] => [
      { kind: "offset", operand: k },
      ...(operand.indexed ? [{ kind: "length" as const, operand: k }] : []),
      ...axes.flatMap((axis): Field[] =>
        operand.walk[axis] === "stride" ? [{ kind: "stride", operand: k, axis }] : [],
      ),
    ]),
    ...kernel.params.map((_, index): Field => ({ kind: "param", index })),
  ];
}

/** The field's name in the shader, where it is a constant of the whole kernel. */
export function fieldName(field: Field): string {
  switch (field.kind) {
    case "first":
    case "last":
      return field.kind;
    case "size":
      return `n${field.axis}`;
    case "laneShift":
      return `h${field.axis}`;
    case "laneMask":
      return `m${field.axis}`;
    case "offset":
      return `o${field.operand}`;
    case "length":
      return `l${field.operand}`;
    case "stride":
      return `s${field.operand}_${field.axis}`;
    case "param":
      return `c${field.index}`;
    default:
      field satisfies never;
      throw new Error("unreachable: unknown field");
  }
}

export interface LaunchValues {
  readonly launch: Launch;
  /** Rows of this dispatch: first and one past the last. */
  readonly first: number;
  readonly last: number;
  /** By axis: how many lanes share it, and how many share faster axes; powers of two. */
  readonly lanes: ReadonlyMap<number, { readonly shift: number; readonly mask: number }>;
}

/** The words of a launch, in the order of `fields`. */
export function packWords(kernel: Kernel, fields: readonly Field[], values: LaunchValues): number[] {
  const { sizes, operands, params } = values.launch;
  return fields.map((field): number => {
    switch (field.kind) {
      case "first":
        return values.first;
      case "last":
        return values.last;
      case "size":
        return sizes[field.axis]!;
      case "laneShift":
        return values.lanes.get(field.axis)!.shift;
      case "laneMask":
        return values.lanes.get(field.axis)!.mask;
      case "offset":
        return operands[field.operand]!.offset;
      case "length":
        return operands[field.operand]!.length;
      case "stride":
        return operands[field.operand]!.strides[field.axis]!;
      case "param":
        return wordOf(params[field.index]!, kernel.params[field.index]!);
      default:
        field satisfies never;
        throw new Error("unreachable: unknown field");
    }
  });
}
