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
  const innermost = loops.at(-1) ?? rows.at(-1);
  return isElementwise(kernel) ? { rows: [...rows, ...loops], loops: [], innermost } : { rows, loops, innermost };
}

/** What a launch tells a kernel. */
export interface LaunchValues {
  readonly launch: Launch;
  /** Rows of this dispatch: first and one past the last. */
  readonly first: number;
  readonly last: number;
  /** By axis: how many lanes share it, and how many share faster axes; powers of two. */
  readonly lanes: ReadonlyMap<number, { readonly shift: number; readonly mask: number }>;
}

/** One 32-bit word of a kernel's uniforms: its name in the shader, where it is a constant, and what a launch puts there. */
export interface Field {
  readonly name: string;
  /** Default i32. */
  readonly type?: "f32";
  /** Whether it may differ between launches of one kernel with the same sizes and strides. */
  readonly varies: boolean;
  word(values: LaunchValues): number;
}

/** What a kernel needs to be told at each launch: rows of this dispatch, sizes, offsets, strides, parameters. */
export function fieldsOf(kernel: Kernel, nest: Nest, options: { lanes: boolean }): Field[] {
  const axes = kernel.axes.map((_, axis) => axis);
  return [
    { name: "first", varies: true, word: ({ first }) => first },
    { name: "last", varies: true, word: ({ last }) => last },
    ...axes.map((axis): Field => ({ name: `n${axis}`, varies: false, word: ({ launch }) => launch.sizes[axis]! })),
    ...(options.lanes ? nest.loops : []).flatMap((axis): Field[] => [
      { name: `h${axis}`, varies: false, word: ({ lanes }) => lanes.get(axis)!.shift },
      { name: `m${axis}`, varies: false, word: ({ lanes }) => lanes.get(axis)!.mask },
    ]),
    ...kernel.operands.flatMap(({ indexed, walk }, k): Field[] => [
      { name: `o${k}`, varies: true, word: ({ launch }) => launch.operands[k]!.offset },
      ...(indexed
        ? [{ name: `l${k}`, varies: true, word: ({ launch }: LaunchValues) => launch.operands[k]!.length }]
        : []),
      ...axes
        .filter((axis) => walk[axis] === "stride")
        .map((axis): Field => {
          const word = ({ launch }: LaunchValues): number => launch.operands[k]!.strides[axis]!;
          return { name: `s${k}_${axis}`, varies: false, word };
        }),
    ]),
    ...kernel.params.map(
      (dtype, i): Field => ({
        name: `c${i}`,
        varies: true,
        ...(dtype === "f32" ? { type: dtype } : {}),
        word: ({ launch }) => wordOf(launch.params[i]!, dtype),
      }),
    ),
  ];
}
