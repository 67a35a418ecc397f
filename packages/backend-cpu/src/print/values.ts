import { type Expr, memo, postorder } from "@dfine/tensor/kernel";
import type { Local } from "../wasm/assembler.ts";
import { maskIfBool, pushGather, pushLoad } from "./access.ts";
import { LANES } from "./nest.ts";
import { pushLanePositions } from "./operations.ts";
import { printNode } from "./printNode.ts";
import { factsOf, type Printing, type Site } from "./site.ts";

type Scope = Map<Expr, Local[]>;

/**
 * Prints expressions as vector code. A value is computed once where its loop is, and kept in a local when something
 * deeper in the nest or several nodes use it; otherwise it stays on the stack.
 */
export class Values {
  readonly #printing: Printing;
  readonly #scopes: Scope[] = [];
  readonly #held: Local[][] = [];
  #stageLevel = 0;

  constructor(printing: Printing) {
    this.#printing = printing;
  }

  /** Values printed inside are forgotten afterwards, and their locals reused. */
  scope(body: () => void): void {
    this.#scopes.push(new Map());
    this.#held.push([]);
    body();
    for (const locals of this.#scopes.pop()!.values())
      this.#printing.f.release(...locals.filter((local) => local !== undefined));
    this.#printing.f.release(...this.#held.pop()!);
  }
  /** A scope in which stages follow each other: what does not read a written operand serves all of them. */
  stages(body: () => void): void {
    this.scope(() => {
      this.#stageLevel = this.#scopes.length - 1;
      body();
    });
  }
  /** Keeps a local until the stages' scope ends. */
  holdForStages(locals: readonly Local[]): void {
    this.#held[this.#stageLevel]!.push(...locals);
  }

  /** Computes, at the top of a loop, what code deeper inside needs from here. */
  enter(roots: readonly Expr[], site: Site): void {
    for (const e of postorder(roots)) {
      const { depth, deepestUse, varies } = factsOf(this.#printing, e);
      if (depth !== site.depth || deepestUse <= depth || e.op === "row") continue;
      for (let group = 0; group < (varies ? site.groups : 1); group++) {
        if (this.#find(e, group)) continue;
        this.#compute(e, site, group);
        this.#printing.f.set(this.#keep(e, site, group));
      }
    }
  }

  /** Runs innermost code for each group of lanes; what they have in common is computed once before. */
  eachGroup(roots: readonly Expr[], site: Site, body: (group: number) => void): void {
    this.scope(() => {
      if (site.groups > 1) {
        for (const e of postorder(roots)) {
          const { depth, varies, feedsLanes } = factsOf(this.#printing, e);
          if (varies || !feedsLanes || depth !== site.depth || e.op === "row" || this.#find(e, 0)) continue;
          this.#compute(e, site, 0);
          this.#printing.f.set(this.#keep(e, site, 0));
        }
      }
      for (let group = 0; group < site.groups; group++) this.scope(() => body(group));
    });
  }

  /** Pushes the value of `e` for one group of lanes. */
  push(e: Expr, site: Site, group: number): void {
    const { f, rows } = this.#printing;
    const { uses, varies } = factsOf(this.#printing, e);
    const own = varies ? group : 0;
    if (e.op === "row") {
      f.get(rows[e.value]![own]!);
      maskIfBool(this.#printing, e.dtype);
      return;
    }
    const known = this.#find(e, own);
    if (known) {
      f.get(known);
      return;
    }
    this.#compute(e, site, own);
    if (uses > 1) f.tee(this.#keep(e, site, own));
  }

  #find(e: Expr, group: number): Local | undefined {
    for (let i = this.#scopes.length - 1; i >= 0; i--) {
      const found = this.#scopes[i]!.get(e)?.[group];
      if (found) return found;
    }
    return undefined;
  }

  #keep(e: Expr, site: Site, group: number): Local {
    const { fresh } = factsOf(this.#printing, e);
    const serves = site.depth === this.#printing.nest.stageDepth && !fresh;
    const scope = this.#scopes[serves ? this.#stageLevel : this.#scopes.length - 1]!;
    const local = this.#printing.f.local("v128");
    memo(scope, e, () => [])[group] = local;
    return local;
  }

  #compute(e: Expr, site: Site, group: number): void {
    const { f, words } = this.#printing;
    const width = factsOf(this.#printing, e).varies ? site.width : 1;
    switch (e.op) {
      case "param":
        f.get(f.args).memory("v128.load32_splat", words.params[e.value]! * 4);
        maskIfBool(this.#printing, e.dtype);
        return;
      case "axis":
        this.#pushAxis(e, width, group);
        return;
      case "load":
        if (e.args.length === 0)
          pushLoad(this.#printing, { operand: e.value, dtype: e.dtype, group }, { ...site, width });
        else {
          this.push(e.args[0]!, site, group);
          pushGather(this.#printing, { operand: e.value, dtype: e.dtype, group }, width);
        }
        return;
      default:
        printNode(f, e, {
          push: (arg) => this.push(arg, site, group),
          width,
          isUniform: (arg) => !factsOf(this.#printing, arg).varies,
        });
    }
  }

  #pushAxis(e: Expr, width: Site["width"], group: number): void {
    const { f, index } = this.#printing;
    f.get(index[e.value]!).op("i32x4.splat");
    if (width === LANES) pushLanePositions(f).op("i32x4.add");
    if (group > 0) f.i32x4(group * LANES).op("i32x4.add");
  }
}
