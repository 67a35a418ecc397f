import {
  axesOf,
  type Expr,
  type Kernel,
  postorder,
  type Stage,
  scatters,
  stageExpressions,
  type Walk,
} from "@dfine/tensor/kernel";
import { lowerStage } from "./lower.ts";
import { keepCostly, type Pass, passesOf, stagesOf } from "./passes.ts";

/** Elements of a vector. */
export const LANES = 4;

/** What a node depends on, and who needs it. */
export interface NodeFacts {
  /** Innermost loop it depends on: 0 the launch, 1 the row, 2 and up the loops inside a row. */
  readonly depth: number;
  /** Differs between the lanes of a vector. */
  readonly varies: boolean;
  /** Reads an operand that the kernel writes, so it must be read where it stands. */
  readonly fresh: boolean;
  uses: number;
  /** Is an argument of something that differs between lanes, or a result itself. */
  feedsLanes: boolean;
  /** Depth of the innermost code that uses it. */
  deepestUse: number;
}

/**
 * How a kernel's axes become loops. Rows count through `rowAxes`; lanes lie along `vectorAxis`. With `lanes: "reduce"`
 * that is the innermost reduced axis and stages follow each other in a row; with `lanes: "map"` it is the last map axis,
 * cut into blocks that count as rows, and stages follow each other in a vector of elements.
 */
export interface Nest {
  readonly kernel: Kernel;
  readonly stages: readonly Stage[];
  readonly lanes: "map" | "reduce";
  /** Undefined for a kernel without axes. */
  readonly vectorAxis: number | undefined;
  readonly rowAxes: readonly number[];
  /** Loops inside the vector of elements ("map") or inside the row ("reduce"; the last one is the vector axis). */
  readonly innerAxes: readonly number[];
  /** Depth at which stages follow each other. */
  readonly stageDepth: number;
  /** With the vectors that each handles together in its main loop. */
  readonly passes: readonly (Pass & { readonly groups: number })[];
  readonly facts: ReadonlyMap<Expr, NodeFacts>;
}

// Unrolled bodies pay while loop overhead weighs more than arithmetic, and a cache line holds four vectors; longer ones
// have two vectors, which merge.
const UNROLL_NODES = 12;
const UNROLL_STRIDED_NODES = 40;
const UNROLL = 4;
const PAIR = 2;
// Columns that are hardly more than summed wait for memory, where rows lie far apart: more of each row is read at a time.
const UNROLL_SUM_NODES = 4;
const UNROLL_SUM = 8;

export function makeNest(kernel: Kernel, { lanes, vectorAxis }: LaneChoice): Nest {
  const [map, reduce] = [axesOf(kernel, "map"), axesOf(kernel, "reduce")];
  const stages = keepCostly(kernel.stages, kernel).map(lowerStage);
  const rowAxes = map.filter((axis) => axis !== vectorAxis);
  const shape = {
    kernel,
    stages,
    lanes,
    vectorAxis,
    rowAxes,
    innerAxes: reduce,
    stageDepth: lanes === "reduce" ? 1 : 2,
  };
  const facts = nodeFacts(shape);
  return { ...shape, facts, passes: makePasses(shape, facts) };
}

/** How each reduction adds up elements: in so many sums that it alternates between, or one after the other, perhaps fused with a product. */
export const sumOrders = ({ lanes, passes }: Nest): string[] =>
  passes.flatMap(({ folds, groups }) =>
    folds.map(({ expr }) => `${lanes === "map" ? "in order" : groups}${expr.op === "mul" ? " of products" : ""}`),
  );

type Shape = Omit<Nest, "facts" | "passes">;

const strided = (kernel: Kernel, axis: number): number =>
  kernel.operands.filter((operand) => operand.walk[axis] === "stride").length;

/** Where lanes lie: see `Nest`. */
export type LaneChoice = Pick<Nest, "lanes" | "vectorAxis">;

/** Lanes lie where fewer operands need one load per lane, but along an axis that fills a vector if there is one. */
export function chooseLanes(kernel: Kernel, sizes: readonly number[]): LaneChoice {
  const [map, reduce] = [axesOf(kernel, "map"), axesOf(kernel, "reduce")];
  const isLong = (axis: number | undefined): boolean => axis !== undefined && sizes[axis]! >= LANES;
  const [along, across] = [vectorMapAxis(kernel, map, isLong), reduce.at(-1)];
  const isAlong =
    across === undefined ||
    (along !== undefined &&
      (isLong(along) !== isLong(across) ? isLong(along) : strided(kernel, along) < strided(kernel, across)));
  return isAlong ? { lanes: "map", vectorAxis: along } : { lanes: "reduce", vectorAxis: across };
}

function vectorMapAxis(kernel: Kernel, map: readonly number[], isLong: (axis: number) => boolean): number | undefined {
  // Scattered sums are added in the order of the axes.
  if (scatters(kernel)) return map.at(-1);
  // An axis along which nothing moves is most often one of size 1.
  const moving = map.filter((axis) => kernel.operands.some((operand) => operand.walk[axis] !== "still"));
  return [...moving].reverse().find(isLong) ?? moving.at(-1) ?? map.at(-1);
}

function makePasses(shape: Shape, facts: ReadonlyMap<Expr, NodeFacts>): Nest["passes"] {
  const { kernel, stages, vectorAxis, lanes, innerAxes } = shape;
  const single = vectorAxis === undefined || strided(kernel, vectorAxis) > 0 || scatters(kernel);
  const work = (of: readonly Stage[]): number =>
    postorder(of.flatMap(stageExpressions)).filter((e) => facts.get(e)!.varies && e.args.length > 0).length;
  const isColumns = lanes === "map" && innerAxes.length > 0;
  const choose = (nodes: number): number => {
    if (isColumns && nodes <= UNROLL_SUM_NODES) return UNROLL_SUM;
    return nodes > (isColumns ? UNROLL_STRIDED_NODES : UNROLL_NODES) ? PAIR : UNROLL;
  };
  // With lanes along a map axis, all stages run for the same vectors.
  return passesOf(stages).map((pass) => {
    const groups = single ? 1 : choose(work(lanes === "map" ? stages : stagesOf(pass)));
    return { ...pass, groups };
  });
}

/** Depth of the loop over `axis`. */
function depthOf(nest: Pick<Nest, "lanes" | "vectorAxis" | "innerAxes">, axis: number): number {
  const inner = nest.innerAxes.indexOf(axis);
  if (nest.lanes === "reduce") return inner < 0 ? 1 : 2 + inner;
  if (axis === nest.vectorAxis) return 2;
  return inner < 0 ? 1 : 3 + inner;
}

/** Depth of a stage's innermost code. */
function bodyDepth(nest: Pick<Nest, "stageDepth" | "innerAxes">, stage: Stage): number {
  const once = stage.kind === "store" && stage.perRow;
  return once ? nest.stageDepth : nest.stageDepth + nest.innerAxes.length;
}

function nodeFacts(nest: Shape): Map<Expr, NodeFacts> {
  const { kernel, stages, vectorAxis, stageDepth } = nest;
  const facts = new Map<Expr, NodeFacts>();
  const walksOf = (operand: number): readonly Walk[] => kernel.operands[operand]!.walk;
  for (const stage of stages) {
    const depth = bodyDepth(nest, stage);
    const roots = stageExpressions(stage);
    for (const e of postorder(roots)) {
      const known = facts.get(e);
      const own = known ?? factsOf(e);
      if (known === undefined) {
        facts.set(e, own);
        for (const arg of e.args) use(facts.get(arg)!, own.depth, own.varies);
      }
      if (roots.includes(e)) use(own, depth, true);
    }
  }
  return facts;

  function use(of: NodeFacts, depth: number, lanes: boolean): void {
    of.uses++;
    of.feedsLanes ||= lanes;
    of.deepestUse = Math.max(of.deepestUse, depth);
  }

  function factsOf(e: Expr): NodeFacts {
    const args = e.args.map((arg) => facts.get(arg)!);
    let depth = Math.max(0, ...args.map((arg) => arg.depth));
    let varies = args.some((arg) => arg.varies);
    let fresh = args.some((arg) => arg.fresh);
    if (e.op === "axis") {
      depth = depthOf(nest, e.value);
      varies = e.value === vectorAxis;
    } else if (e.op === "row") {
      depth = stageDepth;
      varies = nest.lanes === "map";
    } else if (e.op === "load") {
      walksOf(e.value).forEach((walk, axis) => {
        if (walk === "still") return;
        depth = Math.max(depth, depthOf(nest, axis));
        varies ||= axis === vectorAxis;
      });
      fresh ||= kernel.operands[e.value]!.mode !== "read";
    }
    if (fresh) depth = Math.max(depth, stageDepth);
    return { depth, varies, fresh, uses: 0, feedsLanes: false, deepestUse: 0 };
  }
}
