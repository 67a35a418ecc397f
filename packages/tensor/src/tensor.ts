import { isLeaf, Node, type Edge as TapeEdge } from "./autograd/node.ts";
import type { Backend, View } from "./backend.ts";
import type { Dtype, TypedArray } from "./dtype.ts";
import { GradientError, OwnershipError } from "./errors.ts";
import { Handle } from "./scope.ts";
import { isContiguous, type Shape, sizeOf } from "./shape.ts";
import type { Storage } from "./storage.ts";

type Edge = TapeEdge<Tensor>;

/** A tensor, or a number that becomes a run-time parameter. */
export type TensorLike = Tensor | number;

/** How a tensor lies in its storage: strides and offset in elements. */
export interface Layout {
  readonly shape: Shape;
  readonly strides: readonly number[];
  readonly offset: number;
}

/** A range of an axis: start (default 0), end (default the size), step; negative bounds count from the end. */
export interface SliceRange {
  readonly start?: number;
  readonly end?: number;
  /** Default 1; negative steps are not allowed. */
  readonly step?: number;
}

/** What must be released with a handle; held by the finalizer, so it may not refer to the tensor. */
interface Held {
  storage: Storage;
  edge: Edge | undefined;
  live: boolean;
}

function release(held: Held): void {
  if (!held.live) return;
  held.live = false;
  held.edge?.node.release();
  held.storage.release();
}

// A net, not a plan: the collector can't feel device memory, so scopes do the work.
const finalizer = new FinalizationRegistry<Held>(release);

/** What ops can do to a tensor, as methods: `a.add(b)` is `add(a, b)`. Each is the op of its name. */
export interface TensorMethods {
  /** All elements in row-major order. Of several tensors, `readTensors` reads all with one synchronisation. */
  data(): Promise<TypedArray>;
  /** The value of a one-element tensor. @throws ShapeError */
  item(): Promise<number>;
  /** this + other, with broadcasting. */
  add(other: TensorLike): Tensor;
  /** this − other, with broadcasting. */
  sub(other: TensorLike): Tensor;
  /** this · other, elementwise with broadcasting. */
  mul(other: TensorLike): Tensor;
  /** this / other, with broadcasting. */
  div(other: TensorLike): Tensor;
  /** −this. */
  neg(): Tensor;
  /** [..., M, K] · [..., K, N] → [..., M, N]; leading axes broadcast. */
  matmul(other: Tensor): Tensor;
  /** Sum over axes, by default all. */
  sum(axes?: number | readonly number[], options?: { keepDim?: boolean }): Tensor;
  /** Mean over axes, by default all. */
  mean(axes?: number | readonly number[], options?: { keepDim?: boolean }): Tensor;
  /** The same elements in another shape; copies only if it must. */
  reshape(shape: Shape): Tensor;
  /** Joins the axes from `start` to `end`, by default all. */
  flatten(start?: number, end?: number): Tensor;
  /** The axes in another order, without copying. */
  permute(axes: readonly number[]): Tensor;
  /** Exchanges two axes, without copying. */
  transpose(a: number, b: number): Tensor;
  /** Repeats axes of size 1, without copying. */
  expand(shape: Shape): Tensor;
  /** Inserts an axis of size 1. */
  unsqueeze(axis: number): Tensor;
  /** Removes an axis of size 1. */
  squeeze(axis: number): Tensor;
  /** One range per leading axis; a missing or null range keeps the whole axis. */
  slice(ranges: readonly (SliceRange | null)[]): Tensor;
  /** The same values row-major in memory; itself when they are. */
  contiguous(): Tensor;
}

/** A view of counted storage: shape, strides and offset in elements. Values never change except by optimiser-style updates. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: `defineMethods` gives the class what the interface promises.
export class Tensor extends Handle {
  readonly shape: Shape;
  readonly dtype: Dtype;
  #strides: readonly number[];
  #offset: number;
  readonly #held: Held;
  #isWatched = false;

  /** Takes over one count of `storage`. */
  constructor(storage: Storage, dtype: Dtype, options: { layout: Layout; scoped?: boolean }) {
    super();
    this.#held = { storage, edge: undefined, live: true };
    this.dtype = dtype;
    this.shape = options.layout.shape;
    this.#strides = options.layout.strides;
    this.#offset = options.layout.offset;
    if (options.scoped !== false) this.enter();
  }

  get storage(): Storage {
    return this.#held.storage;
  }
  get backend(): Backend {
    return this.#held.storage.backend;
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
  /** False once this handle was freed. */
  get isLive(): boolean {
    return this.#held.live;
  }
  get isContiguous(): boolean {
    return isContiguous(this.shape, this.strides);
  }
  get view(): View {
    const { dtype, shape, strides, offset, storage } = this;
    const version = this.edge ? undefined : storage.version;
    return { buffer: storage.buffer, dtype, shape, strides, offset, version };
  }

  /** Where gradients flow: a recorded op's output, or a leaf. */
  get edge(): Edge | undefined {
    return this.#held.edge;
  }
  get requiresGrad(): boolean {
    return this.edge !== undefined;
  }
  /** Accumulated gradient of a leaf, set by `backward`; setting it frees the one before. */
  get grad(): Tensor | undefined {
    return this.#leaf?.grad;
  }
  set grad(value: Tensor | undefined) {
    const node = this.#leaf;
    if (!node)
      throw new GradientError("grad: only a leaf (requiresGrad = true on a tensor without history) holds a gradient");
    if (node.grad !== value) node.grad?.dispose();
    node.grad = value;
    node.isPlaceTaken = value !== undefined;
  }
  /** Makes a tensor without history a leaf whose gradient `backward` accumulates in `grad`, or stops that. */
  set requiresGrad(value: boolean) {
    if (this.edge && !this.#leaf)
      throw new GradientError(
        "requiresGrad: this tensor is the result of an op; use detach() to get one without history",
      );
    if (value && this.dtype !== "f32")
      throw new GradientError(`requiresGrad: only f32 tensors have gradients, this one is ${this.dtype}`);
    this.#held.edge?.node.release();
    this.#held.edge = undefined;
    if (value) this.attach({ node: new Node("leaf"), output: 0 });
  }
  get #leaf(): Node<Tensor> | undefined {
    const { edge } = this;
    return edge && isLeaf(edge) ? edge.node : undefined;
  }
  /** Makes the tensor the output of a tape node. */
  attach(edge: Edge): void {
    this.#held.edge = edge;
    edge.node.retain();
  }

  /** Another handle on the same elements, without history. */
  alias(options: { layout?: Layout; scoped?: boolean } = {}): Tensor {
    if (!this.isLive)
      throw new OwnershipError("a tensor was used after it was freed; keep(t) takes it out of its scope");
    const { layout = this, scoped = true } = options;
    return new Tensor(this.storage.retain(), this.dtype, { layout, scoped });
  }
  /** Lets go of its elements and takes those of `place`, alike in shape and dtype. Views made before keep the old ones. */
  moveTo(place: Tensor): void {
    const before = this.#held.storage;
    this.#held.storage = place.storage.retain();
    this.#strides = place.strides;
    this.#offset = place.offset;
    before.release();
  }
  /** The same values, cut off from the tape. */
  detach(): Tensor {
    return this.alias();
  }

  /** Frees this handle; the elements go with the last handle, view or tape save. */
  override dispose(): void {
    this.owner?.disown(this);
    if (this.#isWatched) finalizer.unregister(this.#held);
    release(this.#held);
  }
  /** Lets the collector free this handle when nothing refers to it. */
  override watch(): void {
    this.#isWatched = true;
    finalizer.register(this, this.#held, this.#held);
  }
}

export interface Tensor extends TensorMethods {}

/** Puts ops on tensors as methods, so that this file knows none of them. */
export function defineMethods(
  ops: {
    readonly [Name in keyof TensorMethods]: (
      x: Tensor,
      ...args: Parameters<TensorMethods[Name]>
    ) => ReturnType<TensorMethods[Name]>;
  },
): void {
  for (const [name, op] of Object.entries(ops) as [string, (x: Tensor, ...args: never[]) => unknown][])
    Object.defineProperty(Tensor.prototype, name, {
      value(this: Tensor, ...args: never[]) {
        return op(this, ...args);
      },
    });
}
