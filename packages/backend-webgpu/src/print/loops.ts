import { type Kernel, STRIP } from "@dfine/tensor/kernel";
import type { Width } from "./library.ts";
import { indent, type Pointers, stepPointers } from "./walk.ts";

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

/** Loops along the axes of a row, shared among its lanes. */
export class Loops {
  readonly #context: LoopContext;

  constructor(context: LoopContext) {
    this.#context = context;
  }

  /** Nested loops over `axes`; along the axis in fours, the body is printed for four elements and for one. */
  nest(axes: readonly number[], pointers: Pointers, body: (pointers: Pointers, width: Width) => string[]): string[] {
    const [axis, ...rest] = axes;
    if (axis === undefined) return body(pointers, 1);
    const isQuad = axis === this.#context.quadAxis;
    const inner: Body = (at) => (isQuad ? body(at, 4) : this.nest(rest, at, body));
    const loop = this.#loop(this.#share(axis), pointers, inner);
    return isQuad ? [...loop, ...this.rest(axis, pointers, (at) => body(at, 1))] : loop;
  }

  /** A loop in blocks, each with a line before and after it; along the axis in fours, over whole fours. */
  blocks(
    axis: number,
    pointers: Pointers,
    { before, body, after }: { before: string; body: Body; after: string[] },
  ): string[] {
    const { from, step, end } = this.#share(axis);
    const stride = `${STRIP}i * ${step}`;
    const loop = this.#loop({ axis, from: "block", step, end: "end" }, pointers, body);
    return [
      `for (var block = ${from}; block < ${end}; block += ${stride}) {`,
      ...indent([`let end = min(block + ${stride}, ${end});`, before, ...loop, ...after], 1),
      "}",
    ];
  }

  /** What is left of an axis after its last whole four. */
  rest(axis: number, pointers: Pointers, body: Body): string[] {
    const { lane, lanes } = this.#lane(axis);
    return this.#loop({ axis, from: `(n${axis} & -4i) + ${lane}`, step: lanes, end: `n${axis}` }, pointers, body);
  }

  #loop({ axis, from, step, end }: Range, pointers: Pointers, body: Body): string[] {
    const walk = stepPointers(this.#context.kernel, axis, pointers);
    return [
      `for (var i${axis} = ${from}; i${axis} < ${end}; i${axis} += ${step}) {`,
      ...indent([...walk.lines, ...body(walk.pointers)], 1),
      "}",
    ];
  }

  /** A lane's whole steps along an axis. */
  #share(axis: number): Range {
    const { lane, lanes } = this.#lane(axis);
    if (axis !== this.#context.quadAxis) return { axis, from: lane, step: lanes, end: `n${axis}` };
    return { axis, from: `${lane} * 4i`, step: `(${lanes} * 4i)`, end: `(n${axis} & -4i)` };
  }

  /** The lane's number along an axis, and how many there are. */
  #lane(axis: number): { lane: string; lanes: string } {
    if (this.#context.lanes === 1) return { lane: "0i", lanes: "1i" };
    return { lane: `((lane >> u32(h${axis})) & m${axis})`, lanes: `(m${axis} + 1i)` };
  }
}
