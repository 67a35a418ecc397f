import type { Dtype, TypedArray } from "@dfine/tensor";
import { growthOf, isFixed, isSame, type Size } from "./sizes.ts";

/** Element types of ONNX that are written here, and their numbers in its file format. */
export const ELEMENTS = { float32: 1, uint8: 2, int32: 6, int64: 7, bool: 9, uint32: 12 } as const;
export type Element = keyof typeof ELEMENTS;

/** Our element types in ONNX. */
export const ELEMENT: Readonly<Record<Dtype, Element>> = { f32: "float32", i32: "int32", bool: "bool" };

/** A whole number, several, a text, or a fraction. */
export type Attribute = number | readonly number[] | string | { readonly float: number };

export interface GraphNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/** A constant of the graph. */
export interface Initializer {
  readonly name: string;
  readonly element: Element;
  readonly dims: readonly number[];
  readonly data: TypedArray | BigInt64Array | Uint8Array;
}

/** An input or output; a size that varies has a name. */
export interface Port {
  readonly name: string;
  readonly element: Element;
  readonly dims: readonly (number | string)[];
}

type Attributes = GraphNode["attributes"];

/** Nodes and constants of an ONNX graph as they are put down. What is asked for twice is written once. */
export class Graph {
  readonly nodes: GraphNode[] = [];
  readonly initializers = new Map<string, Initializer>();
  readonly #written = new Map<string, readonly string[]>();
  readonly #names = new Map<string, number>();

  /** A name that begins with `wanted` and is nobody else's. */
  unique(wanted: string): string {
    const count = this.#names.get(wanted) ?? 0;
    this.#names.set(wanted, count + 1);
    return count === 0 ? wanted : this.unique(`${wanted}.${count}`);
  }

  /** A node with one output, which is named. */
  node(op: string, inputs: readonly string[], attributes: Attributes = {}): string {
    return this.several(op, inputs, { count: 1, attributes })[0]!;
  }

  /** A node with `count` outputs. */
  several(
    op: string,
    inputs: readonly string[],
    { count, attributes = {} }: { count: number; attributes?: Attributes },
  ): readonly string[] {
    const key = JSON.stringify([op, inputs, attributes, count]);
    const known = this.#written.get(key);
    if (known) return known;
    const outputs = Array.from({ length: count }, () => this.unique(op));
    this.#written.set(key, outputs);
    this.nodes.push({ op, inputs, outputs, attributes });
    return outputs;
  }

  /** Gives a value the name of an output. */
  rename(value: string, name: string): void {
    this.nodes.push({ op: "Identity", inputs: [value], outputs: [name], attributes: {} });
  }

  constant(initializer: Initializer): string {
    this.initializers.set(initializer.name, initializer);
    return initializer.name;
  }

  /** A number [] that is known now. */
  number(value: number, dtype: Dtype): string {
    const name = `${dtype}.${Object.is(value, -0) ? "-0" : value}`;
    const data = { f32: Float32Array.of(value), i32: Int32Array.of(value), bool: Uint8Array.of(value) }[dtype];
    return this.constant({ name, element: ELEMENT[dtype], dims: [], data });
  }

  /** Whole numbers of 64 bits, as ONNX wants shapes and axes. */
  ints(values: readonly number[]): string {
    const data = BigInt64Array.from(values, BigInt);
    return this.constant({ name: `ints.${values.join(".")}`, element: "int64", dims: [values.length], data });
  }

  cast(value: string, element: Element): string {
    return this.node("Cast", [value], { to: ELEMENTS[element] });
  }
}

/** Writes sizes that are known when the graph runs as nodes that compute them from the shape of its images. */
export class SizeWriter {
  readonly #graph: Graph;
  readonly #images: string;
  readonly #axes: readonly Size[];

  /** `axes` are the sizes of `images` [B, 3, H, W] that vary: B, or B, H and W. */
  constructor(graph: Graph, images: string, axes: readonly Size[]) {
    this.#graph = graph;
    this.#images = images;
    this.#axes = axes;
  }

  /** A whole number of 64 bits [1]. */
  #size(size: Size): string {
    const graph = this.#graph;
    if (isFixed(size)) return graph.ints([size[0]!]);
    const { start, powers } = growthOf(size, this.#axes);
    const factors = powers.flatMap((power, i) => new Array<number>(power).fill(i));
    const first = factors.reduce((product, i) => product * this.#axes[i]![0]!, 1);
    const divisor = greatestDivisor(start, first);
    const axis = (i: number): string => {
      const at = i === 0 ? 0 : i + 1;
      return graph.node("Shape", [this.#images], { start: at, end: at + 1 });
    };
    const scaled = (op: string, value: string, by: number) =>
      by === 1 ? value : graph.node(op, [value, graph.ints([by])]);
    const product = factors.map(axis).reduce((a, b) => graph.node("Mul", [a, b]));
    return scaled("Div", scaled("Mul", product, start / divisor), first / divisor);
  }

  /** Sizes as a list of whole numbers of 64 bits. */
  list(sizes: readonly Size[]): string {
    if (sizes.every(isFixed)) return this.#graph.ints(sizes.map((size) => size[0]!));
    return this.#graph.node(
      "Concat",
      sizes.map((size) => this.#size(size)),
      { axis: 0 },
    );
  }

  /** A number [] of an op, which may follow from sizes. */
  number(size: Size, dtype: Dtype): string {
    if (isFixed(size)) return this.#graph.number(size[0]!, dtype);
    const scalar = this.#graph.node("Squeeze", [this.#size(size), this.#graph.ints([0])]);
    return this.#graph.cast(scalar, ELEMENT[dtype]);
  }

  /** The same elements in another shape. One size that varies is left to ONNX, and those that stay in their places. */
  reshape(value: string, from: readonly Size[], to: readonly Size[]): string {
    const dims = to.map((size, i) => (isFixed(size) ? size[0]! : isSame(size, from[i]) ? 0 : -1));
    const isTold = dims.filter((n) => n === -1).length < 2;
    return this.#graph.node("Reshape", [value, isTold ? this.#graph.ints(dims) : this.list(to)]);
  }
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}
