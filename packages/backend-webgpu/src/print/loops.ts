import { type Kernel, STRIP } from "@dfine/tensor/kernel";
import type { Width } from "./library.ts";
import { indent, type Pointers, stepPointers } from "./walk.ts";

/** Loops along the axes of a row, shared among its lanes. */
export class Loops {
  readonly #kernel: Kernel;
  readonly #lanes: number;
  readonly #quadAxis: number | undefined;

  /** `lanes`: threads that share a row; `quadAxis`: the axis that is walked in fours. */
  constructor(kernel: Kernel, { lanes, quadAxis }: { lanes: number; quadAxis: number | undefined }) {
    this.#kernel = kernel;
    this.#lanes = lanes;
    this.#quadAxis = quadAxis;
  }

  /** Nested loops over `axes`; along the axis in fours, the body is printed for four elements and for one. */
  nest(axes: readonly number[], pointers: Pointers, body: (pointers: Pointers, width: Width) => string[]): string[] {
    const [axis, ...rest] = axes;
    if (axis === undefined) return body(pointers, 1);
    const isQuad = axis === this.#quadAxis;
    const { from, step, end } = this.#share(axis);
    const walk = stepPointers(this.#kernel, axis, { pointers, tag: "p" });
    const inner = isQuad ? body(walk.pointers, 4) : this.nest(rest, walk.pointers, body);
    return [
      `for (var i${axis} = ${from}; i${axis} < ${end}; i${axis} += ${step}) {`,
      ...indent([...walk.lines, ...inner], 1),
      "}",
      ...(isQuad ? this.rest(axis, pointers, (at) => body(at, 1)) : []),
    ];
  }

  /** A loop in blocks, each with a line before and after it; along the axis in fours, over whole fours. */
  blocks(
    axis: number,
    pointers: Pointers,
    { before, body, after }: { before: string; body: (pointers: Pointers) => string[]; after: string[] },
  ): string[] {
    const { from, step, end } = this.#share(axis);
    const stride = `${STRIP}i * ${step}`;
    const walk = stepPointers(this.#kernel, axis, { pointers, tag: "p" });
    return [
      `for (var block = ${from}; block < ${end}; block += ${stride}) {`,
      `  let end = min(block + ${stride}, ${end});`,
      `  ${before}`,
      `  for (var i${axis} = block; i${axis} < end; i${axis} += ${step}) {`,
      ...indent([...walk.lines, ...body(walk.pointers)], 2),
      "  }",
      ...indent(after, 1),
      "}",
    ];
  }

  /** What is left of an axis after its last whole four. */
  rest(axis: number, pointers: Pointers, body: (pointers: Pointers) => string[]): string[] {
    const walk = stepPointers(this.#kernel, axis, { pointers, tag: "p" });
    const { lane, lanes } = this.#lane(axis);
    return [
      `for (var i${axis} = (n${axis} & -4i) + ${lane}; i${axis} < n${axis}; i${axis} += ${lanes}) {`,
      ...indent([...walk.lines, ...body(walk.pointers)], 1),
      "}",
    ];
  }

  /** Where a lane starts along an axis, how far its steps are, and where whole steps end. */
  #share(axis: number): { from: string; step: string; end: string } {
    const { lane, lanes } = this.#lane(axis);
    if (axis !== this.#quadAxis) return { from: lane, step: lanes, end: `n${axis}` };
    return { from: `${lane} * 4i`, step: `(${lanes} * 4i)`, end: `(n${axis} & -4i)` };
  }

  /** The lane's number along an axis, and how many there are. */
  #lane(axis: number): { lane: string; lanes: string } {
    if (this.#lanes === 1) return { lane: "0i", lanes: "1i" };
    return { lane: `((lane >> u32(h${axis})) & m${axis})`, lanes: `(m${axis} + 1i)` };
  }
}
