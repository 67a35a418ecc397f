import { foldPlan, type Kernel, type ReduceStage } from "@dfine/tensor/kernel";
import type { Nest } from "./layout.ts";
import { typeOf, type Width } from "./library.ts";
import type { LoopContext, Loops } from "./loops.ts";
import { printConstant, printFold } from "./operations.ts";
import type { Pointers } from "./pointers.ts";
import type { Schedule } from "./schedule.ts";
import type { Values } from "./values.ts";

type Fold = (a: string, b: string) => string;

/** Workgroup memory in which lanes fold what they have. */
export function sharedArrays(kernel: Kernel, { rows, lanes }: Schedule): string[] {
  if (lanes === 1) return [];
  const types = kernel.stages.flatMap((stage) => (stage.kind === "reduce" ? [foldPlan(stage, 1).dtype] : []));
  return [...new Set(types)].map((type) => `var<workgroup> fold_${type}: array<${type}, ${rows * lanes}>;`);
}

/** What the lines of a row are printed from, and by. */
export interface RowContext extends LoopContext {
  readonly nest: Nest;
  readonly loops: Loops;
  readonly values: Values;
  /** Of a workgroup. */
  readonly rows: number;
}

/**
 * Lines of the reduce stage that gives r‹row›. Sums in float32 carry along what rounding loses, block by block (Neumaier).
 */
export function printReduce(
  stage: ReduceStage,
  { row, pointers }: { row: number; pointers: Pointers },
  { nest, loops, values, quadAxis, rows, lanes }: RowContext,
): string[] {
  const { dtype: type, identity, inStrips } = foldPlan(stage, nest.loops.length);
  const fold = printFold(stage.op, type, 1);
  const start = printConstant(identity, type);
  const term = (at: Pointers, width: Width, into: string): string[] => {
    const { lines, names } = values.evaluate([stage.expr], { pointers: at, width });
    return [...lines, `${into} = ${printFold(stage.op, type, width)(into, names[0]!)};`];
  };
  const total = `a${row}`;
  const add = (part: string): string[] =>
    inStrips
      ? [
          `let part_sum = ${part};`,
          `let sum = ${total} + part_sum;`,
          `lost${row} += select((part_sum - sum) + ${total}, (${total} - sum) + part_sum, abs(${total}) >= abs(part_sum));`,
          `${total} = sum;`,
        ]
      : [`${total} = ${fold(total, part)};`];
  const axis = nest.loops.at(-1);
  const width: Width = quadAxis === undefined ? 1 : 4;
  const body = (outer: Pointers): string[] => {
    if (axis === undefined) return term(outer, 1, total);
    const begin = (of: Width): string => `var part: ${typeOf(type, of)} = ${typeOf(type, of)}(${start});`;
    const blocks = loops.blocks(axis, outer, {
      before: begin(width),
      body: (at) => term(at, width, "part"),
      after: add(width === 1 ? "part" : foldQuad("part", fold)),
    });
    if (width === 1) return blocks;
    return [...blocks, "{", begin(1), ...loops.rest(axis, outer, (at) => term(at, 1, "part")), ...add("part"), "}"];
  };
  return [
    `var ${total}: ${type} = ${start};`,
    ...(inStrips ? [`var lost${row} = 0.0f;`] : []),
    ...loops.nest(nest.loops.slice(0, -1), pointers, body),
    // What an infinite sum loses is no number.
    ...(inStrips ? [`${total} = select(${total}, ${total} + lost${row}, is_finite(lost${row}));`] : []),
    ...(lanes > 1 ? foldLanes(row, { type, fold, rows, lanes }) : [`let r${row} = ${total};`]),
  ];
}

/** Lines that fold a‹row› of all lanes into r‹row›: a tree whose order depends on nothing. */
function foldLanes(
  row: number,
  { type, fold, rows, lanes }: { type: "f32" | "i32"; fold: Fold; rows: number; lanes: number },
): string[] {
  const shared = `fold_${type}`;
  const lines = [`${shared}[local] = a${row};`, "workgroupBarrier();"];
  for (let half = lanes / 2; half >= 1; half /= 2) {
    const [mine, other] = [`${shared}[local]`, `${shared}[local + ${half * rows}u]`];
    lines.push(`if (lane < ${half}i) { ${mine} = ${fold(mine, other)}; }`, "workgroupBarrier();");
  }
  return [...lines, `let r${row} = ${shared}[mine];`, "workgroupBarrier();"];
}

/** The four parts of a vec4 as one. */
const foldQuad = (name: string, fold: Fold): string =>
  fold(fold(`${name}.x`, `${name}.y`), fold(`${name}.z`, `${name}.w`));
