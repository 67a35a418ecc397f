import { type Edge, Node } from "./autograd/tape.ts";
import type { Backend, View } from "./backend.ts";
import type { Dtype, TypedArray } from "./dtype.ts";
import { GradientError, ShapeError } from "./errors.ts";
import { add, div, mul, neg, sub } from "./ops/arithmetic.ts";
import { readTensors } from "./ops/create.ts";
import { matmul } from "./ops/matmul.ts";
import { mean, sum } from "./ops/reduce.ts";
import {
  contiguous,
  expand,
  flatten,
  permute,
  reshape,
  type SliceRange,
  slice,
  squeeze,
  transpose,
  unsqueeze,
} from "./ops/view.ts";
import { currentScope, type Scope } from "./scope.ts";
import { isContiguous, type Shape, shapeText, sizeOf } from "./shape.ts";
import type { Storage } from "./storage.ts";

/** A tensor, or a number that becomes a run-time parameter. */
export type TensorLike = Tensor | number;

interface Layout {
  readonly shape: Shape;
  readonly strides: readonly number[];
  readonly offset: number;
}

/** What must be released with a handle; held by the finalizer, so it may not refer to the tensor. */
interface Handle {
  storage: Storage;
  edge: Edge | undefined;
  live: boolean;
}

function release(handle: Handle): void {
  if (!handle.live) return;
  handle.live = false;
  handle.edge?.node.release();
  handle.storage.release();
}

// A net, not a plan: the collector can't feel device memory, so scopes do the work.
const finalizer = new FinalizationRegistry<Handle>(release);

/** A view of counted storage: shape, strides and offset in elements. Values never change except by optimiser-style updates. */
export class Tensor implements Disposable {
  readonly shape: Shape;
  readonly dtype: Dtype;
  #strides: readonly number[];
  #offset: number;
  /** The scope that frees this handle. */
  owner: Scope | undefined;
  readonly #handle: Handle;

  /** Takes over one count of `storage`. */
  constructor(storage: Storage, dtype: Dtype, options: { layout: Layout; scoped?: boolean }) {
    this.#handle = { storage, edge: undefined, live: true };
    this.dtype = dtype;
    this.shape = options.layout.shape;
    this.#strides = options.layout.strides;
    this.#offset = options.layout.offset;
    if (options.scoped === false) return;
    const scope = currentScope();
    if (scope) scope.own(this);
    else this.watch();
  }

  get storage(): Storage {
    return this.#handle.storage;
  }
  get backend(): Backend {
    return this.#handle.storage.backend;
  }
  /** One per axis, in elements. */
  get strides(): readonly number[] {
    return this.#strides;
  }
  /** Of the first element in the storage. */
  get offset(): number {
    return this.#offset;
  }
  get size(): number {
    return sizeOf(this.shape);
  }
  get rank(): number {
    return this.shape.length;
  }
  get isContiguous(): boolean {
    return isContiguous(this.shape, this.strides);
  }
  get view(): View {
    const { dtype, shape, strides, offset } = this;
    return { buffer: this.storage.buffer, dtype, shape, strides, offset };
  }

  /** Where gradients flow: a recorded op's output, or a leaf. */
  get edge(): Edge | undefined {
    return this.#handle.edge;
  }
  get requiresGrad(): boolean {
    return this.edge !== undefined;
  }
  /** Accumulated gradient of a leaf, set by `backward`; setting it frees the one before. */
  get grad(): Tensor | undefined {
    return this.edge?.node.grad;
  }
  set grad(value: Tensor | undefined) {
    const node = this.edge?.node;
    if (!node?.leaf)
      throw new GradientError("grad: only a leaf (requiresGrad = true on a tensor without history) holds a gradient");
    if (node.grad !== value) node.grad?.dispose();
    node.grad = value;
  }
  /** Makes a tensor without history a leaf whose gradient `backward` accumulates in `grad`, or stops that. */
  set requiresGrad(value: boolean) {
    if (this.edge && !this.edge.node.leaf)
      throw new GradientError(
        "requiresGrad: this tensor is the result of an op; use detach() to get one without history",
      );
    if (value && this.dtype !== "f32")
      throw new GradientError(`requiresGrad: only f32 tensors have gradients, this one is ${this.dtype}`);
    this.#handle.edge?.node.release();
    this.#handle.edge = undefined;
    if (value) this.attach({ node: new Node("leaf", { leaf: true }), output: 0 });
  }
  /** Makes the tensor the output of a tape node. */
  attach(edge: Edge): void {
    this.#handle.edge = edge;
    edge.node.retain();
  }

  /** Another handle on the same elements, without history. */
  alias(options: { layout?: Layout; scoped?: boolean } = {}): Tensor {
    return new Tensor(this.storage.retain(), this.dtype, {
      layout: options.layout ?? this,
      ...(options.scoped === undefined ? {} : { scoped: options.scoped }),
    });
  }
  /** Lets go of its elements and takes those of `place`, alike in shape and dtype. Views made before keep the old ones. */
  moveTo(place: Tensor): void {
    const before = this.#handle.storage;
    this.#handle.storage = place.storage.retain();
    this.#strides = place.strides;
    this.#offset = place.offset;
    before.release();
  }
  /** The same values, cut off from the tape. */
  detach(): Tensor {
    return this.alias();
  }

  /** Frees this handle; the elements go with the last handle, view or tape save. */
  dispose(): void {
    this.owner?.disown(this);
    finalizer.unregister(this.#handle);
    release(this.#handle);
  }
  /** Same as `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
  /** Lets the collector free this handle when nothing refers to it. */
  watch(): void {
    finalizer.register(this, this.#handle, this.#handle);
  }

  /** All elements in row-major order. Of several tensors, `readTensors` reads all with one synchronisation. */
  async data(): Promise<TypedArray> {
    return (await readTensors([this]))[0]!;
  }
  /** The value of a one-element tensor. @throws ShapeError */
  async item(): Promise<number> {
    if (this.size !== 1)
      throw new ShapeError(
        `item: the tensor has shape ${shapeText(this.shape)}; only one element can be read this way`,
      );
    return (await this.data())[0]!;
  }

  /** this + other, with broadcasting. */
  add(other: TensorLike): Tensor {
    return add(this, other);
  }
  /** this − other, with broadcasting. */
  sub(other: TensorLike): Tensor {
    return sub(this, other);
  }
  /** this · other, elementwise with broadcasting. */
  mul(other: TensorLike): Tensor {
    return mul(this, other);
  }
  /** this / other, with broadcasting. */
  div(other: TensorLike): Tensor {
    return div(this, other);
  }
  /** −this. */
  neg(): Tensor {
    return neg(this);
  }
  /** [..., M, K] · [..., K, N] → [..., M, N]; leading axes broadcast. */
  matmul(other: Tensor): Tensor {
    return matmul(this, other);
  }
  /** Sum over axes, by default all. */
  sum(axes?: number | readonly number[], options?: { keepDim?: boolean }): Tensor {
    return sum(this, axes, options);
  }
  /** Mean over axes, by default all. */
  mean(axes?: number | readonly number[], options?: { keepDim?: boolean }): Tensor {
    return mean(this, axes, options);
  }
  /** The same elements in another shape; copies only if it must. */
  reshape(shape: Shape): Tensor {
    return reshape(this, shape);
  }
  /** Joins the axes from `start` to `end`, by default all. */
  flatten(start?: number, end?: number): Tensor {
    return flatten(this, start, end);
  }
  /** The axes in another order, without copying. */
  permute(axes: readonly number[]): Tensor {
    return permute(this, axes);
  }
  /** Exchanges two axes, without copying. */
  transpose(a: number, b: number): Tensor {
    return transpose(this, a, b);
  }
  /** Repeats axes of size 1, without copying. */
  expand(shape: Shape): Tensor {
    return expand(this, shape);
  }
  /** Inserts an axis of size 1. */
  unsqueeze(axis: number): Tensor {
    return unsqueeze(this, axis);
  }
  /** Removes an axis of size 1. */
  squeeze(axis: number): Tensor {
    return squeeze(this, axis);
  }
  /** One range per leading axis; a missing or null range keeps the whole axis. */
  slice(ranges: readonly (SliceRange | null)[]): Tensor {
    return slice(this, ranges);
  }
  /** The same values row-major in memory; itself when they are. */
  contiguous(): Tensor {
    return contiguous(this);
  }
}
