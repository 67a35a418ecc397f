import { type Kernel, STRIP } from "@dfine/tensor/kernel";
import type { Width } from "./library.ts";
import { indent, type Pointers, stepPointers } from "./pointers.ts";

/** What loops along a row go by. */
export interface LoopContext {
  readonly kernel: Kernel;
  /** Threads that share a row. */
  readonly lanes: number;
  /** The axis that is walked in fours: the innermost loop, or of an elementwise kernel the innermost row axis. */
  readonly quadAxis: number | undefined;
}

/** Indices of an axis that a lane visits: `step` apart, from `from` to before `end`. */
interface Range {
  readonly axis: number;
  readonly from: string;
  readonly step: string;
  readonly end: string;
}

type Body = (pointers: Pointers) => string[];
type WideBody = (pointers: Pointers, width: Width) => string[];

export type Loops = ReturnType<typeof loopsOf>;

/** Prints loops along the axes of a row, shared among its lanes. */
export function loopsOf({ kernel, lanes: laneCount, quadAxis }: LoopContext) {
  /** The lane's number along an axis, and how many there are. */
  const laneOf = (axis: number): { lane: string; lanes: string } => {
    if (laneCount === 1) return { lane: "0i", lanes: "1i" };
    return { lane: `((lane >> u32(h${axis})) & m${axis})`, lanes: `(m${axis} + 1i)` };
  };
  /** A lane's whole steps along an axis. */
  const shareOf = (axis: number): Range => {
    const { lane, lanes } = laneOf(axis);
    if (axis !== quadAxis) return { axis, from: lane, step: lanes, end: `n${axis}` };
    return { axis, from: `${lane} * 4i`, step: `(${lanes} * 4i)`, end: `(n${axis} & -4i)` };
  };
  const loop = ({ axis, from, step, end }: Range, pointers: Pointers, body: Body): string[] => {
    const walk = stepPointers(kernel, axis, pointers);
    return [
      `for (var i${axis} = ${from}; i${axis} < ${end}; i${axis} += ${step}) {`,
      ...indent([...walk.lines, ...body(walk.pointers)], 1),
      "}",
    ];
  };

  /** What is left of an axis after its last whole four. */
  const rest = (axis: number, pointers: Pointers, body: Body): string[] => {
    const { lane, lanes } = laneOf(axis);
    return loop({ axis, from: `(n${axis} & -4i) + ${lane}`, step: lanes, end: `n${axis}` }, pointers, body);
  };

  /** Nested loops over `axes`; along the axis in fours, the body is printed for four elements and for one. */
  const nest = (axes: readonly number[], pointers: Pointers, body: WideBody): string[] => {
    const [axis, ...inner] = axes;
    if (axis === undefined) return body(pointers, 1);
    if (axis !== quadAxis) return loop(shareOf(axis), pointers, (at) => nest(inner, at, body));
    return [...loop(shareOf(axis), pointers, (at) => body(at, 4)), ...rest(axis, pointers, (at) => body(at, 1))];
  };

  /** A loop in blocks, each with a line before and lines after it; along the axis in fours, over whole fours. */
  const blocks = (
    axis: number,
    pointers: Pointers,
    { before, body, after }: { before: string; body: Body; after: string[] },
  ): string[] => {
    const { from, step, end } = shareOf(axis);
    const stride = `${STRIP}i * ${step}`;
    const inner = loop({ axis, from: "block", step, end: "end" }, pointers, body);
    return [
      `for (var block = ${from}; block < ${end}; block += ${stride}) {`,
      ...indent([`let end = min(block + ${stride}, ${end});`, before, ...inner, ...after], 1),
      "}",
    ];
  };

  return { nest, blocks, rest };
}
