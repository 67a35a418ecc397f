import { type Expr, type Kernel, type Stage, stageExpressions, type Write } from "@dfine/tensor/kernel";
import { type FoldOptions, printReduce, sharedArrays } from "./folds.ts";
import type { Nest } from "./layout.ts";
import type { Width } from "./library.ts";
import { Loops } from "./loops.ts";
import type { Schedule } from "./schedule.ts";
import type { Slots } from "./storage.ts";
import { Values } from "./values.ts";
import { indent, type Pointers, splitIndex, stepPointers } from "./walk.ts";

interface RowsOptions {
  readonly nest: Nest;
  readonly slots: Slots;
  readonly schedule: Exclude<Schedule, { kind: "tiles" }>;
}

/** The schedules in which a thread, or some lanes, go along a row stage by stage. `$UNIFORMS` stands for the uniforms. */
export function printRows(kernel: Kernel, options: RowsOptions): string[] {
  return new RowPrinter(kernel, options).print();
}

class RowPrinter {
  readonly #kernel: Kernel;
  readonly #nest: Nest;
  readonly #schedule: RowsOptions["schedule"];
  readonly #lanes: number;
  readonly #values: Values;
  readonly #loops: Loops;
  readonly #foldOptions: Omit<FoldOptions, "row" | "pointers">;
  /** The axis that is walked in fours: the innermost loop, or of an elementwise kernel the innermost row axis. */
  readonly #quadAxis: number | undefined;

  constructor(kernel: Kernel, { nest, slots, schedule }: RowsOptions) {
    this.#kernel = kernel;
    this.#nest = nest;
    this.#schedule = schedule;
    this.#lanes = schedule.kind === "rows" ? schedule.lanes : 1;
    this.#quadAxis = schedule.kind === "rows" && schedule.quads ? nest.innermost : undefined;
    const loopAxes = this.#quadAxis === undefined ? nest.loops : [...nest.loops, this.#quadAxis];
    this.#values = new Values(kernel, { slots, loopAxes, innermost: this.#quadAxis });
    this.#loops = new Loops(kernel, { lanes: this.#lanes, quadAxis: this.#quadAxis });
    this.#foldOptions = {
      nest,
      loops: this.#loops,
      values: this.#values,
      quadAxis: this.#quadAxis,
      schedule: schedule.kind === "rows" ? schedule : { rows: 1, lanes: 1 },
    };
  }

  print(): string[] {
    const schedule = this.#schedule;
    if (schedule.kind === "ordered")
      return [
        "@compute @workgroup_size(1)",
        "fn main() {",
        "  $UNIFORMS",
        "  for (var row = first; row < last; row++) {",
        ...indent(this.#row(), 2),
        "  }",
        "}",
      ];
    const { rows, lanes } = schedule;
    const group = `first + i32(group.y * groups.x + group.x) * ${rows}i`;
    const start =
      lanes === 1
        ? [`let row = ${group} + i32(local);`, "if (row >= last) { return; }"]
        : [
            // All threads of a workgroup meet at its barriers, so those without a row compute the last one again.
            `let mine = i32(local) % ${rows}i;`,
            `let lane = i32(local) / ${rows}i;`,
            `let alive = ${group} + mine < last;`,
            `let row = min(${group} + mine, last - 1i);`,
          ];
    return [
      ...(lanes === 1 ? [] : sharedArrays(this.#kernel, rows * lanes)),
      `@compute @workgroup_size(${rows * lanes})`,
      "fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {",
      "  $UNIFORMS",
      ...indent([...start, ...this.#row()], 1),
      "}",
    ];
  }

  #row(): string[] {
    const { rows, loops } = this.#nest;
    const quadRow = loops.length === 0 ? this.#quadAxis : undefined;
    const lines = splitIndex("row", rows, quadRow);
    let pointers: Pointers = this.#kernel.operands.map((_, k) => `o${k}`);
    for (const axis of rows) {
      // Along an axis in fours the row's pointers stay behind: what is the same for all four is loaded there.
      if (axis === quadRow) continue;
      const step = stepPointers(this.#kernel, axis, { pointers, tag: "q" });
      lines.push(...step.lines);
      pointers = step.pointers;
    }
    let reduces = 0;
    for (const [i, stage] of this.#kernel.stages.entries()) {
      if (this.#lanes > 1 && this.#crossesLanes(i)) lines.push("storageBarrier();", "workgroupBarrier();");
      lines.push(...this.#stage(stage, { pointers, row: stage.kind === "reduce" ? reduces++ : 0 }));
    }
    return lines;
  }

  /** Whether per-row stores, done by one lane, may touch what other lanes read in the stage before or after. */
  #crossesLanes(i: number): boolean {
    const { stages, operands } = this.#kernel;
    return (
      i > 0 &&
      stages.slice(0, i + 1).some((stage) => stage.kind === "store" && stage.perRow) &&
      operands.some((operand) => operand.mode === "update")
    );
  }

  #stage(stage: Stage, at: { pointers: Pointers; row: number }): string[] {
    const hoisted = this.#values.hoist(stageExpressions(stage), at.pointers);
    switch (stage.kind) {
      case "reduce":
        return [...hoisted, ...printReduce(stage, { ...at, ...this.#foldOptions })];
      case "store":
        return [
          ...hoisted,
          ...(stage.perRow ? this.#storeRow(stage.writes, at.pointers) : this.#storeAll(stage.writes, at.pointers)),
        ];
      case "scatter":
        return [...hoisted, ...this.#loops.nest(this.#nest.loops, at.pointers, (inner) => this.#scatter(stage, inner))];
      default:
        stage satisfies never;
        throw new Error("unreachable: unknown stage");
    }
  }

  #guarded(condition: string, lines: string[]): string[] {
    return [this.#lanes > 1 ? `if (${condition}) {` : "{", ...indent(lines, 1), "}"];
  }

  #storeRow(writes: readonly Write[], pointers: Pointers): string[] {
    const { lines, names } = this.#values.evaluate(expressionsOf(writes), { pointers, width: 1 });
    const stores = writes.map(({ operand }, i) => this.#values.storage.store(operand, pointers[operand]!, names[i]!));
    return this.#guarded("alive && lane == 0i", [...lines, ...stores]);
  }

  #storeAll(writes: readonly Write[], pointers: Pointers): string[] {
    const { loops } = this.#nest;
    const quad = this.#quadAxis;
    if (quad === undefined || loops.length > 0)
      return this.#loops.nest(loops, pointers, (inner, width) =>
        this.#guarded("alive", this.#store(writes, inner, width)),
      );
    const walk = stepPointers(this.#kernel, quad, { pointers, tag: "p" });
    const body = (width: Width): string[] => indent([...walk.lines, ...this.#store(writes, walk.pointers, width)], 1);
    return [
      `if (g${quad} + 3i < n${quad}) {`,
      `  let i${quad} = g${quad};`,
      ...body(4),
      `} else { for (var i${quad} = g${quad}; i${quad} < n${quad}; i${quad}++) {`,
      ...body(1),
      "} }",
    ];
  }

  #store(writes: readonly Write[], pointers: Pointers, width: Width): string[] {
    const { lines, names } = this.#values.evaluate(expressionsOf(writes), { pointers, width });
    const { storage } = this.#values;
    const stores = writes.flatMap(({ operand }, i) => {
      const [pointer, value] = [pointers[operand]!, names[i]!];
      if (width === 1) return [storage.store(operand, pointer, value)];
      return storage.storeFour(operand, pointer, { value, step: this.#values.step(operand) });
    });
    return [...lines, ...stores];
  }

  #scatter(stage: Extract<Stage, { kind: "scatter" }>, pointers: Pointers): string[] {
    const { lines, names } = this.#values.evaluate([stage.index, stage.expr], { pointers, width: 1 });
    const k = stage.operand;
    const target = `o${k} + ${names[0]}`;
    const { storage } = this.#values;
    const addition = storage.store(k, target, `${storage.load(k, target)} + ${names[1]}`);
    return [...lines, `if (${names[0]} >= 0i && ${names[0]} < l${k}) { ${addition} }`];
  }
}

const expressionsOf = (writes: readonly Write[]): Expr[] => writes.map((write) => write.expr);
