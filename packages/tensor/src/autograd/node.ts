/** What a gradient function is given. */
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
  /** What the op saved, in its order. */
  readonly saved: readonly (T | undefined)[];
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

/** An output of a recorded op, perhaps seen otherwise. */
export interface Edge<T extends Disposable> {
  readonly node: Node<T>;
  readonly output: number;
  readonly seen?: Seen<T> | undefined;
}

/** A view that has each element of a tensor once. It is no op on the tape: its gradient is a view of the tensor's, and the other way round. */
export interface Seen<T> {
  /** How the tensor was seen already. */
  readonly before: Seen<T> | undefined;
  /** The tensor's gradient from the view's. */
  gradient(ofView: T): T;
  /** In a place for the tensor's gradient that of the view's; undefined where strides allow none. */
  place(ofTensor: T): T | undefined;
}

/** Whether an edge is that of a tensor without history. */
export const isLeaf = <T extends Disposable>({ node, seen }: Edge<T>): boolean => node.leaf && !seen;

/** What an op leaves on the tape. Its inputs' edges are undefined where no gradient is wanted. */
interface Recorded<T extends Disposable> {
  readonly inputs: readonly (Edge<T> | undefined)[];
  readonly outputCount: number;
  readonly saved: readonly (T | undefined)[];
  /** For each that is saved the state of its storage then. */
  readonly versions: readonly number[];
  readonly parts: Parts<T> | undefined;
  readonly vjp: Vjp<T>;
}

let created = 0;
const NOTHING: readonly [] = [];

/** One recorded op. Counted by the live handles of its outputs and by the nodes that come after it. */
export class Node<T extends Disposable> {
  readonly id = created++;
  readonly name: string;
  readonly inputs: readonly (Edge<T> | undefined)[];
  readonly outputCount: number;
  /** A tensor without history that asked for a gradient. Its node holds no tensor but the gradient, so it can be collected. */
  readonly leaf: boolean;
  readonly versions: readonly number[];
  /** Accumulated gradient of a leaf. */
  grad: T | undefined;
  /** Of a leaf: where its gradient is wanted, and whether somebody may be writing there. */
  place: T | undefined;
  isPlaceTaken = false;
  vjp: Vjp<T> | undefined;
  readonly parts: Parts<T> | undefined;
  #saved: readonly (T | undefined)[];
  #count = 0;

  /** Of a leaf nothing is recorded. */
  constructor(name: string, recorded?: Recorded<T>) {
    this.name = name;
    this.inputs = recorded ? recorded.inputs : NOTHING;
    this.outputCount = recorded ? recorded.outputCount : 1;
    this.leaf = recorded === undefined;
    this.versions = recorded ? recorded.versions : NOTHING;
    this.vjp = recorded?.vjp;
    this.parts = recorded?.parts;
    this.#saved = recorded ? recorded.saved : NOTHING;
    for (let i = 0; i < this.inputs.length; i++) this.inputs[i]?.node.retain();
  }

  get saved(): readonly (T | undefined)[] {
    return this.#saved;
  }

  retain(): void {
    this.#count++;
  }

  release(): void {
    if (--this.#count > 0 || this.leaf) return;
    this.forget();
    for (let i = 0; i < this.inputs.length; i++) this.inputs[i]?.node.release();
  }

  /** Frees what was saved for the gradient, which then can't be computed again. */
  forget(): void {
    const saved = this.#saved;
    this.#saved = NOTHING;
    for (let i = 0; i < saved.length; i++) saved[i]?.[Symbol.dispose]();
    this.vjp = undefined;
  }
}
