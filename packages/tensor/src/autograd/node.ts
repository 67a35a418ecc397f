/** What a gradient function is given. Inputs and outputs that the op did not ask to save are undefined. */
export interface Backprop<T> {
  /** Gradients of the outputs; undefined where nothing depends on an output. */
  readonly grads: readonly (T | undefined)[];
  /** Which inputs want a gradient. */
  readonly needs: readonly boolean[];
  /**
   * For an input's gradient a place that holds nothing yet, shaped like it. Written there and returned, it need not be copied;
   * one that lies elsewhere is as good.
   */
  readonly into: readonly (T | undefined)[];
}

/** Returns one gradient per input, shaped like it; undefined where none is needed. */
export type Vjp<T> = (call: Backprop<T>) => readonly (T | undefined)[];

/** Of an op whose outputs are views of its one input, which gradients keep to. */
export interface Parts<T> {
  /** In a place for the input's gradient that of an output's; undefined where it is none, as strides differ. */
  partOf(place: T, output: number): T | undefined;
  /** Makes a place for the input's gradient, where there is none and outputs' ones are to be joined. */
  readonly whole?: () => T;
}

/** An output of a recorded op. */
export interface Edge<T extends Disposable> {
  readonly node: Node<T>;
  readonly output: number;
}

let created = 0;

/** One recorded op. Counted by the live handles of its outputs and by the nodes that come after it. */
export class Node<T extends Disposable> {
  readonly id = created++;
  readonly name: string;
  readonly inputs: readonly (Edge<T> | undefined)[];
  readonly outputCount: number;
  /** A tensor without history that asked for a gradient. Its node holds no tensor but the gradient, so it can be collected. */
  readonly leaf: boolean;
  /** Accumulated gradient of a leaf. */
  grad: T | undefined;
  /** Of a leaf: where its gradient is wanted, and whether somebody may be writing there. */
  place: T | undefined;
  isPlaceTaken = false;
  vjp: Vjp<T> | undefined;
  readonly parts: Parts<T> | undefined;
  #saved: readonly T[];
  #count = 0;

  constructor(
    name: string,
    options: Partial<Pick<Node<T>, "inputs" | "outputCount" | "leaf" | "vjp" | "parts">> & { saved?: readonly T[] },
  ) {
    this.name = name;
    this.inputs = options.inputs ?? [];
    this.outputCount = options.outputCount ?? 1;
    this.leaf = options.leaf ?? false;
    this.vjp = options.vjp;
    this.parts = options.parts;
    this.#saved = options.saved ?? [];
    for (const edge of this.inputs) edge?.node.retain();
  }

  retain(): void {
    this.#count++;
  }

  release(): void {
    if (--this.#count > 0 || this.leaf) return;
    this.forget();
    for (const edge of this.inputs) edge?.node.release();
  }

  /** Frees what was saved for the gradient, which then can't be computed again. */
  forget(): void {
    for (const tensor of this.#saved) tensor[Symbol.dispose]();
    this.#saved = [];
    this.vjp = undefined;
  }
}
