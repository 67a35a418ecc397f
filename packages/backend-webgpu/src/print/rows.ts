import { type Expr, type Kernel, type Stage, stageExpressions, type Write } from "@dfine/tensor";
import type { Nest } from "./layout.ts";
import { reduction } from "./operations.ts";
import type { Schedule } from "./schedule.ts";
import { type Slots, Values } from "./values.ts";
import { type Pointers, splitIndex, stepPointers } from "./walk.ts";

interface RowsOptions {
  readonly nest: Nest;
  readonly slots: Slots;
  readonly schedule: Exclude<Schedule, { kind: "tiles" }>;
}

/** Sums are folded in blocks of this many elements per thread: float32 loses less than in one long sum. */
const SUM_BLOCK = 256;

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

  constructor(kernel: Kernel, { nest, slots, schedule }: RowsOptions) {
    this.#kernel = kernel;
    this.#nest = nest;
    this.#schedule = schedule;
    this.#lanes = schedule.kind === "rows" ? schedule.lanes : 1;
    this.#values = new Values(kernel, { slots, loopAxes: nest.loops });
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
      ...(lanes === 1 ? [] : this.#sharedArrays(rows * lanes)),
      `@compute @workgroup_size(${rows * lanes})`,
      "fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {",
      "  $UNIFORMS",
      ...indent([...start, ...this.#row()], 1),
      "}",
    ];
  }

  #sharedArrays(threads: number): string[] {
    const types = new Set(this.#kernel.stages.flatMap((s) => (s.kind === "reduce" ? [accumulatorType(s)] : [])));
    return [...types].map((type) => `var<workgroup> fold_${type}: array<${type}, ${threads}>;`);
  }

  #row(): string[] {
    const lines = splitIndex("row", this.#nest.rows);
    let pointers: Pointers = this.#kernel.operands.map((_, k) => `o${k}`);
    for (const axis of this.#nest.rows) {
      const step = stepPointers(this.#kernel, axis, { pointers, tag: "q" });
      lines.push(...step.lines);
      pointers = step.pointers;
    }
    let reduces = 0;
    for (const [i, stage] of this.#kernel.stages.entries()) {
      if (i > 0 && this.#lanes > 1 && this.#crossesLanes(i)) lines.push("storageBarrier();", "workgroupBarrier();");
      lines.push(...this.#stage(stage, { pointers, row: stage.kind === "reduce" ? reduces++ : 0 }));
    }
    return lines;
  }

  /** Whether a per-row store, done by one lane, touches what other lanes read in the stage before or after. */
  #crossesLanes(i: number): boolean {
    const isPerRow = (stage: Stage): boolean => stage.kind === "store" && stage.perRow;
    const stages = this.#kernel.stages;
    if (!stages.slice(0, i + 1).some(isPerRow)) return false;
    return this.#kernel.operands.some((operand) => operand.mode === "update");
  }

  #stage(stage: Stage, at: { pointers: Pointers; row: number }): string[] {
    const roots = stageExpressions(stage);
    const hoisted = this.#values.hoist(roots, { pointers: at.pointers });
    switch (stage.kind) {
      case "reduce":
        return [...hoisted, ...this.#reduce(stage, at)];
      case "store": {
        if (!stage.perRow) {
          const body = (inner: Pointers): string[] => this.#guarded("alive", this.#store(stage.writes, inner));
          return [...hoisted, ...this.#loops(this.#nest.loops, at.pointers, body)];
        }
        return [...hoisted, ...this.#guarded("alive && lane == 0i", this.#store(stage.writes, at.pointers))];
      }
      case "scatter":
        return [...hoisted, ...this.#loops(this.#nest.loops, at.pointers, (inner) => this.#scatter(stage, inner))];
      default:
        stage satisfies never;
        throw new Error("unreachable: unknown stage");
    }
  }

  #guarded(condition: string, lines: string[]): string[] {
    return [this.#lanes > 1 ? `if (${condition}) {` : "{", ...indent(lines, 1), "}"];
  }

  #store(writes: readonly Write[], pointers: Pointers): string[] {
    const { lines, names } = this.#values.evaluate(
      writes.map((write) => write.expr),
      { pointers },
    );
    return [...lines, ...writes.map(({ operand }, i) => this.#values.store(operand, pointers[operand]!, names[i]!))];
  }

  #scatter(stage: Extract<Stage, { kind: "scatter" }>, pointers: Pointers): string[] {
    const { lines, names } = this.#values.evaluate([stage.index, stage.expr], { pointers });
    const k = stage.operand;
    const target = `o${k} + ${names[0]}`;
    const sum = `${this.#values.load(k, target)} + ${names[1]}`;
    return [...lines, `if (${names[0]} >= 0i && ${names[0]} < l${k}) { ${this.#values.store(k, target, sum)} }`];
  }

  #reduce(stage: Extract<Stage, { kind: "reduce" }>, { pointers, row }: { pointers: Pointers; row: number }): string[] {
    const type = accumulatorType(stage);
    const { start, fold } = reduction(stage.op, type);
    const name = this.#lanes > 1 ? `a${row}` : `r${row}`;
    const term = (inner: Pointers, into: string): string[] => {
      const { lines, names } = this.#values.evaluate([stage.expr], { pointers: inner });
      return [...lines, `${into} = ${fold(into, names[0]!)};`];
    };
    const inBlocks = stage.op === "sum" && type === "f32" && this.#nest.loops.length > 0;
    const loops = inBlocks
      ? this.#blockedSum(pointers, { name, term })
      : this.#loops(this.#nest.loops, pointers, (inner) => term(inner, name));
    const lines = [`var ${name}: ${type} = ${start};`, ...loops];
    return this.#lanes > 1 ? [...lines, ...this.#foldLanes(row, { type, fold })] : lines;
  }

  #blockedSum(
    pointers: Pointers,
    { name, term }: { name: string; term: (inner: Pointers, into: string) => string[] },
  ): string[] {
    const inner = this.#nest.loops.at(-1)!;
    return this.#loops(this.#nest.loops.slice(0, -1), pointers, (outer) => {
      const { from, step } = this.#share(inner);
      const stride = step === "1i" ? `${SUM_BLOCK}i` : `${SUM_BLOCK}i * (${step})`;
      const walk = stepPointers(this.#kernel, inner, { pointers: outer, tag: "p" });
      return [
        `for (var block = ${from}; block < n${inner}; block += ${stride}) {`,
        `  let end = min(block + ${stride}, n${inner});`,
        "  var part = 0.0f;",
        `  for (var i${inner} = block; i${inner} < end; i${inner} += ${step}) {`,
        ...indent([...walk.lines, ...term(walk.pointers, "part")], 2),
        "  }",
        `  ${name} = ${name} + part;`,
        "}",
      ];
    });
  }

  /** Tree over the lanes of each row, in an order that depends on nothing. */
  #foldLanes(row: number, { type, fold }: { type: "f32" | "i32"; fold: (a: string, b: string) => string }): string[] {
    const { rows } = this.#schedule as { rows: number };
    const shared = `fold_${type}`;
    const lines = [`${shared}[local] = a${row};`, "workgroupBarrier();"];
    for (let half = this.#lanes / 2; half >= 1; half /= 2) {
      const [mine, other] = [`${shared}[local]`, `${shared}[local + ${half * rows}u]`];
      lines.push(`if (lane < ${half}i) { ${mine} = ${fold(mine, other)}; }`, "workgroupBarrier();");
    }
    return [...lines, `let r${row} = ${shared}[mine];`, "workgroupBarrier();"];
  }

  #loops(axes: readonly number[], pointers: Pointers, body: (pointers: Pointers) => string[]): string[] {
    const [axis, ...rest] = axes;
    if (axis === undefined) return body(pointers);
    const { from, step } = this.#share(axis);
    const walk = stepPointers(this.#kernel, axis, { pointers, tag: "p" });
    return [
      `for (var i${axis} = ${from}; i${axis} < n${axis}; i${axis} += ${step}) {`,
      ...indent([...walk.lines, ...this.#loops(rest, walk.pointers, body)], 1),
      "}",
    ];
  }

  /** Where a lane starts along an axis, and how far its steps are. */
  #share(axis: number): { from: string; step: string } {
    return this.#lanes > 1
      ? { from: `((lane >> u32(h${axis})) & m${axis})`, step: `(m${axis} + 1i)` }
      : { from: "0i", step: "1i" };
  }
}

function accumulatorType(stage: { readonly expr: Expr }): "f32" | "i32" {
  return stage.expr.dtype === "f32" ? "f32" : "i32";
}

export const indent = (lines: readonly string[], levels: number): string[] =>
  lines.map((line) => "  ".repeat(levels) + line);
