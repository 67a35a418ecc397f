import { type Expr, type Kernel, type StoreStage, stageExpressions } from "@dfine/tensor/kernel";
import { printReduce, type RowContext, sharedArrays } from "./foldLines.ts";
import type { Nest } from "./layout.ts";
import type { Width } from "./library.ts";
import { loopsOf } from "./loops.ts";
import { indent, type Pointers, splitIndex, stepPointers } from "./pointers.ts";
import type { Schedule } from "./schedule.ts";
import type { Slots } from "./storage.ts";
import { type Site, type Values, valuesOf } from "./values.ts";

/** What a kernel's rows are printed by; `slots` says which operands are views of one buffer. */
interface RowsText {
  readonly nest: Nest;
  readonly slots: Slots;
  readonly schedule: Schedule;
  /** A line before all others. */
  readonly start: string;
}

function rowLines(kernel: Kernel, { nest, slots, schedule }: RowsText): string[] {
  const { rows, lanes, quads } = schedule;
  const quadAxis = quads ? nest.innermost : undefined;
  const loopAxes = quadAxis === undefined ? nest.loops : [...nest.loops, quadAxis];
  const values = valuesOf(kernel, { slots, loopAxes, innermost: quadAxis });
  const loops = loopsOf({ kernel, lanes, quadAxis });
  return printRow({ kernel, nest, values, loops, quadAxis, rows, lanes });
}

/** Lines that find a thread's row, and its lane of it. */
const ownRow = ({ rows, lanes }: Schedule): string[] =>
  lanes === 1
    ? [`let row = first + index * ${rows}i + i32(local);`, "if (row >= last) { return; }"]
    : [
        // All threads of a workgroup meet at its barriers, so those without a row compute the last one again.
        `let mine = i32(local) % ${rows}i;`,
        `let lane = i32(local) / ${rows}i;`,
        `let alive = first + index * ${rows}i + mine < last;`,
        `let row = min(first + index * ${rows}i + mine, last - 1i);`,
      ];

/** The main function: a thread, or some lanes, go along a row stage by stage. */
export function printRows(kernel: Kernel, text: RowsText): string[] {
  const { schedule, start } = text;
  const { rows, lanes } = schedule;
  const row = rowLines(kernel, text);
  if (schedule.ordered)
    return [
      "@compute @workgroup_size(1)",
      "fn main() {",
      `  ${start}`,
      "  for (var row = first; row < last; row++) {",
      ...indent(row, 2),
      "  }",
      "}",
    ];
  return [
    ...sharedArrays(kernel, schedule),
    `@compute @workgroup_size(${rows * lanes})`,
    "fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {",
    ...indent([start, "let index = i32(group.y * groups.x + group.x);", ...ownRow(schedule), ...row], 1),
    "}",
  ];
}

/** What a thread does, as a function of its workgroup's number and its own. */
export const printPart = (name: string, kernel: Kernel, text: RowsText): string[] => [
  `fn ${name}(index: i32, local: u32) {`,
  ...indent([text.start, ...ownRow(text.schedule), ...rowLines(kernel, text)], 1),
  "}",
];

/** Lines of one row, whose number is in `row`. */
function printRow(context: RowContext): string[] {
  const { kernel, nest, lanes, quadAxis } = context;
  const quadRow = nest.loops.length === 0 ? quadAxis : undefined;
  const lines = splitIndex("row", nest.rows, quadRow);
  let pointers: Pointers = kernel.operands.map((_, k) => `o${k}`);
  for (const axis of nest.rows) {
    // Along an axis in fours the row's pointers stay behind: what is the same for all four is loaded there.
    if (axis === quadRow) continue;
    const step = stepPointers(kernel, axis, pointers);
    lines.push(...step.lines);
    pointers = step.pointers;
  }
  let reduces = 0;
  for (const [i, stage] of kernel.stages.entries()) {
    if (lanes > 1 && crossesLanes(kernel, i)) lines.push("storageBarrier();", "workgroupBarrier();");
    lines.push(...context.values.hoist(stageExpressions(stage), pointers));
    if (stage.kind === "reduce") lines.push(...printReduce(stage, { pointers, row: reduces++ }, context));
    else if (!stage.perRow) lines.push(...storeAll(stage, pointers, context));
    else lines.push(...guarded("alive && lane == 0i", store(stage, { pointers, width: 1 }, context), context));
  }
  return lines;
}

/** Whether per-row stores, done by one lane, may touch what other lanes read in the stage before or after. */
function crossesLanes({ stages, operands }: Kernel, i: number): boolean {
  return (
    i > 0 &&
    stages.slice(0, i + 1).some((stage) => stage.kind === "store" && stage.perRow) &&
    operands.some((operand) => operand.mode === "update")
  );
}

const guarded = (condition: string, lines: string[], { lanes }: RowContext): string[] => [
  lanes > 1 ? `if (${condition}) {` : "{",
  ...indent(lines, 1),
  "}",
];

function storeAll(stage: StoreStage, pointers: Pointers, context: RowContext): string[] {
  const { kernel, nest, loops, quadAxis: quad } = context;
  if (quad === undefined || nest.loops.length > 0)
    return loops.nest(nest.loops, pointers, (inner, width) =>
      guarded("alive", store(stage, { pointers: inner, width }, context), context),
    );
  const walk = stepPointers(kernel, quad, pointers);
  const body = (width: Width): string[] =>
    indent([...walk.lines, ...store(stage, { pointers: walk.pointers, width }, context)], 1);
  return [
    `if (g${quad} + 3i < n${quad}) {`,
    `  let i${quad} = g${quad};`,
    ...body(4),
    `} else { for (var i${quad} = g${quad}; i${quad} < n${quad}; i${quad}++) {`,
    ...body(1),
    "} }",
  ];
}

function store(stage: StoreStage, site: Site, { values }: RowContext): string[] {
  const roots = stageExpressions(stage);
  const { lines, names } = values.evaluate(roots, site);
  const nameOf = (e: Expr): string => names[roots.indexOf(e)]!;
  const stores = stage.writes.flatMap(({ operand, index, expr }) => {
    const [pointer, value] = [site.pointers[operand]!, nameOf(expr)];
    if (index) return [addAt(operand, { index: nameOf(index), value }, values)];
    if (site.width === 1) return [values.storage.store(operand, pointer, value)];
    return values.storage.storeFour(operand, pointer, { value, step: values.step(operand) });
  });
  return [...lines, ...stores];
}

function addAt(k: number, { index, value }: { index: string; value: string }, { storage }: Values): string {
  const target = `o${k} + ${index}`;
  return `if (${index} >= 0i && ${index} < l${k}) { ${storage.store(k, target, `${storage.load(k, target)} + ${value}`)} }`;
}
