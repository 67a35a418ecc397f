import { type Expr, foldPlan, type ReduceStage, STRIP } from "@dfine/tensor/kernel";
import type { Local } from "../wasm/assembler.ts";
import type { Op } from "../wasm/opcodes.ts";
import { loadRow, storeRow } from "../wasm/vectors.ts";
import type { Strips } from "./loops.ts";
import { LANES } from "./nest.ts";
import type { Printing, Site } from "./site.ts";
import type { Values } from "./values.ts";

const FOLD: Readonly<Record<ReduceStage["op"], Readonly<Record<"f32" | "i32", Op>>>> = {
  sum: { f32: "f32x4.add", i32: "i32x4.add" },
  max: { f32: "f32x4.max", i32: "i32x4.max_s" },
  min: { f32: "f32x4.min", i32: "i32x4.min_s" },
};

/** One instruction where the one above is eight, each waiting for the last: a NaN of what is added is passed over, and noted beside. */
const NOTING_NAN: Partial<Record<Op, Op>> = { "f32x4.max": "f32x4.pmax", "f32x4.min": "f32x4.pmin" };

// Long float sums are kept accurate by levels: a strip is added to the first level, and a level to the next one after LEVEL
// additions. The error grows with these lengths, not with their product.
const LEVEL_LOG2 = 5;
const LEVELS = 3;

/** The running result of one reduce stage: a vector per group, or one across groups when lanes lie along the reduction. */
export class Fold {
  readonly #printing: Printing;
  readonly #expr: Expr;
  readonly #dtype: "f32" | "i32";
  readonly #identity: number;
  readonly #op: Op;
  /** Of extrema of floats: the quick instruction, and for each accumulator a mask of the lanes that have met NaN. */
  readonly #quick: { readonly op: Op; readonly met: readonly Local[] } | undefined;
  readonly #across: boolean;
  readonly #groups: number;
  readonly #accumulators: Local[];
  /** Per level, a vector per result; none for what is folded directly. */
  readonly #levels: Local[][];
  /** Additions to the first level so far. */
  readonly #added: Local | undefined;

  constructor(printing: Printing, stage: ReduceStage, groups: number) {
    const { f, nest } = printing;
    this.#printing = printing;
    this.#expr = stage.expr;
    const { dtype, identity, inStrips } = foldPlan(stage, nest.innerAxes.length);
    this.#dtype = dtype;
    this.#identity = identity;
    this.#op = FOLD[stage.op][dtype];
    this.#across = nest.lanes === "reduce";
    this.#groups = groups;
    this.#accumulators = f.locals("v128", groups);
    const quick = NOTING_NAN[this.#op];
    this.#quick = quick && { op: quick, met: f.locals("v128", groups) };
    const results = this.#across ? 1 : groups;
    this.#levels = Array.from({ length: inStrips ? LEVELS : 0 }, () => f.locals("v128", results));
    this.#added = inStrips ? f.local("i32") : undefined;
    for (const local of [...this.#accumulators, ...this.#levels.flat()]) this.#reset(local);
    for (const local of this.#quick?.met ?? []) f.i32x4(0).set(local);
    if (this.#added) f.i32(0).set(this.#added);
  }

  /** What to print around strips of the innermost loop. */
  get strips(): Strips | undefined {
    if (!this.#added) return undefined;
    return {
      length: STRIP,
      begin: () => {
        for (const local of this.#accumulators) this.#reset(local);
      },
      end: () => this.#endStrip(),
    };
  }

  /** Adds the elements of a group at a site. In the main loop each group has its own accumulator. */
  add(values: Values, site: Site, group: number): void {
    const { f } = this.#printing;
    const main = !this.#across || (site.width === LANES && site.groups === this.#groups);
    if (main) this.#accumulate(values, { site, group, into: this.#accumulators[group]! });
    else {
      const into = this.#levels[0]?.[0] ?? this.#accumulators[0]!;
      // Lanes of a single element are all equal: a sum takes one of them.
      if (site.width === 1 && this.#identity === 0) {
        this.#push(values, site, group);
        f.i32x4(-1, 0, 0, 0).op("v128.and").get(into).op(this.#op).set(into);
      } else this.#accumulate(values, { site, group, into });
    }
  }

  /** After one run of the innermost loop, when an outer loop goes on: short runs must not pile up in one level. */
  endRun(): void {
    if (this.#added && this.#across) this.#count(this.#added);
  }

  /** Leaves the result in a local per group, or in all lanes of one. */
  finish(): Local[] {
    const { f } = this.#printing;
    const combine = (into: Local, from: readonly Local[]): void => {
      for (const local of from) f.get(into, local).op(this.#op).set(into);
    };
    let results = this.#accumulators;
    // A lane of ones is NaN.
    for (const [i, local] of (this.#quick?.met ?? []).entries())
      f.get(results[i]!, local).op("v128.or").set(results[i]!).release(local);
    if (this.#added) {
      results = this.#levels[0]!;
      for (const level of this.#levels.slice(1))
        for (const [i, local] of level.entries()) combine(results[i]!, [local]);
    } else if (this.#across) {
      this.#passThroughMemory();
      combine(results[0]!, results.slice(1));
      results = [results[0]!];
    }
    if (this.#across) {
      const all = results[0]!;
      f.get(all, all, all).shuffle(2, 3, 0, 1).op(this.#op).set(all);
      f.get(all, all, all).shuffle(1, 0, 3, 2).op(this.#op).set(all);
    }
    f.release(...[...this.#accumulators, ...this.#levels.flat()].filter((local) => !results.includes(local)));
    if (this.#added) f.release(this.#added);
    return results;
  }

  #reset(local: Local): void {
    const { f } = this.#printing;
    (this.#dtype === "f32" ? f.f32x4(this.#identity) : f.i32x4(this.#identity)).set(local);
  }

  #push(values: Values, site: Site, group: number): void {
    values.push(this.#expr, site, group);
    if (this.#expr.dtype === "bool") this.#printing.f.i32x4(1).op("v128.and");
  }

  #accumulate(values: Values, { site, group, into }: { site: Site; group: number; into: Local }): void {
    const { f } = this.#printing;
    const [a, b] = this.#expr.args;
    if (this.#op === "f32x4.add" && this.#expr.op === "mul") {
      values.push(a!, site, group);
      values.push(b!, site, group);
      f.madd(into);
    } else if (this.#quick) {
      const [x, { op, met }] = [f.local("v128"), this.#quick];
      this.#push(values, site, group);
      f.set(x).get(into, x).op(op).set(into);
      f.get(met[group]!, x, x).op("f32x4.ne", "v128.or").set(met[group]!).release(x);
    } else {
      this.#push(values, site, group);
      f.get(into).op(this.#op).set(into);
    }
  }

  #endStrip(): void {
    const { f } = this.#printing;
    const first = this.#levels[0]!;
    this.#passThroughMemory();
    if (this.#across) {
      f.get(first[0]!, this.#accumulators[0]!);
      for (const local of this.#accumulators.slice(1)) f.get(local).op("f32x4.add");
      f.op("f32x4.add").set(first[0]!);
    } else {
      for (const [i, local] of this.#accumulators.entries()) f.get(first[i]!, local).op("f32x4.add").set(first[i]!);
    }
    this.#count(this.#added!);
  }

  /** Stores accumulators side by side and loads them: only what ends in such stores is merged. */
  #passThroughMemory(): void {
    const { f } = this.#printing;
    if (!f.options.wide || !this.#across || this.#groups === 1) return;
    const own = f.local("i32");
    f.own().set(own);
    storeRow(f, this.#accumulators, own);
    loadRow(f, this.#accumulators, own);
    f.release(own);
  }

  /** Empties each full level into the next. */
  #count(added: Local): void {
    const { f } = this.#printing;
    f.get(added).i32(1).op("i32.add").set(added);
    const empty = (level: number): void => {
      const [from, into] = [this.#levels[level], this.#levels[level + 1]];
      if (!from || !into) return;
      f.get(added)
        .i32(2 ** (LEVEL_LOG2 * (level + 1)) - 1)
        .op("i32.and", "i32.eqz");
      f.if(() => {
        for (const [i, local] of from.entries()) {
          f.get(into[i]!, local).op("f32x4.add").set(into[i]!);
          this.#reset(local);
        }
        empty(level + 1);
      });
    };
    empty(0);
  }
}
