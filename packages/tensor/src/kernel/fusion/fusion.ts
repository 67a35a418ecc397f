import type { Buffer, Launch, OverrideCall } from "../../backend.ts";
import { memo, NumbersMemo } from "../../memo.ts";
import { sameShape } from "../../shape.ts";
import type { Epilogue } from "../epilogue.ts";
import { fuse } from "../fuse.ts";
import type { Kernel } from "../kernel.ts";
import { type Laid, layoutOf } from "../laid.ts";
import { plan } from "../plan.ts";
import { lastActOf } from "./lastAct.ts";
import { keepsSums, type OrderOf } from "./sums.ts";

/** A launch whose program may still be joined with the next one's. */
interface Pending {
  readonly kernel: Kernel;
  readonly launch: Launch;
  readonly laid: Laid;
}

/** A product that an elementwise launch may still become part of. */
export interface FinishedCall<Attrs = unknown> extends OverrideCall<Attrs> {
  readonly epilogue?: Epilogue;
}

/** A product, and what computes it with an epilogue or without one. */
export interface Product {
  readonly call: OverrideCall<unknown>;
  /** Launches it. */
  readonly run: (call: FinishedCall) => void;
}

/** What a backend does with the kernels that `Fusion` gives it, and which of them it wants joined. */
export interface FusionOptions {
  /** Launches a generated kernel. */
  readonly run: (kernel: Kernel, launch: Launch) => void;
  /** How reductions of a generated kernel are formed: kernels are joined where that stays as it is alone. */
  readonly orderOf: OrderOf;
  /** Gives memory back that nothing which waits needs. */
  readonly free: (buffer: Buffer) => void;
  /** What may be bound once only when it is written: buffers share nothing whose blocks are not the same. */
  readonly blockOf: (buffer: Buffer) => unknown;
  readonly maxBindings: number;
  /** Whether computing something costly again takes less than starting another kernel. */
  readonly repeats: boolean;
  /** Whether a program is worth joining with the one before it, of which it has these operands (−1: none). Default: always. */
  readonly suits?: (first: Laid, second: Laid, shared: readonly number[]) => boolean;
}

/** A program with another behind it, planned. */
interface Joint {
  readonly laid: Laid;
  readonly planned: Omit<Pending, "launch"> &
    Pick<Launch, "sizes"> & { readonly strides: readonly (readonly number[])[] };
  readonly added: readonly number[];
}

/** Elements that a kernel may load at a time, from multiples of so many on. */
const ALIGNMENT = 4;
/** Ways in which a program is joined with others. */
const MOST_JOINTS = 64;

/**
 * Joins generated kernels that follow each other and go over the same shape: an activation, what is added to it and the norm of that
 * become one dispatch, and elementwise ones the last act of the product before them. What came last waits for the next command,
 * whatever that is.
 */
export class Fusion {
  readonly #options: FusionOptions;
  /** Before what is pending. */
  #product: Product | undefined;
  #pending: Pending | undefined;
  /** Freed while what waits still needs them. */
  #freed: Buffer[] = [];
  #isOver = false;
  readonly #joints = new WeakMap<Laid, WeakMap<Laid, NumbersMemo<{ readonly joint: Joint | undefined }>>>();

  constructor(options: FusionOptions) {
    this.#options = options;
  }

  /** Runs a kernel, perhaps later: before anything else that `flush` is called for. */
  run(kernel: Kernel, launch: Launch): void {
    const laid = this.#isOver ? undefined : launch.alike?.laid;
    if (laid && this.#pending) {
      const joined = this.#join(this.#pending, { kernel, launch, laid });
      if (joined) {
        this.#pending = joined;
        return;
      }
    }
    if (!laid || this.#pending) this.flush();
    if (laid) this.#pending = { kernel, launch, laid };
    else this.#options.run(kernel, launch);
  }

  /** Computes a product, perhaps later. */
  multiply(product: Product): void {
    this.flush();
    if (this.#isOver) product.run(product.call);
    else this.#product = product;
  }

  /** Gives memory back, once what waits needs it no more. */
  free(buffer: Buffer): void {
    if (this.#needs(buffer)) this.#freed.push(buffer);
    else this.#options.free(buffer);
  }

  /** Has everything run at once from now on. */
  end(): void {
    this.flush();
    this.#isOver = true;
  }

  #needs(buffer: Buffer): boolean {
    const call = this.#product?.call;
    const isIt = (own: { readonly buffer: Buffer }): boolean => own.buffer === buffer;
    return !!(call?.inputs.some(isIt) || call?.outputs.some(isIt) || this.#pending?.launch.operands.some(isIt));
  }

  /** Runs what waits. */
  flush(): void {
    const [product, pending, freed] = [this.#product, this.#pending, this.#freed];
    if (!product && !pending) return;
    this.#product = undefined;
    this.#pending = undefined;
    this.#freed = [];
    try {
      if (!(product && pending && this.#finish(product, pending, freed))) {
        product?.run(product.call);
        if (pending) this.#options.run(pending.kernel, pending.launch);
      }
    } finally {
      for (const buffer of freed) this.#options.free(buffer);
    }
  }

  /** Runs a product and what is pending as one kernel, if that may be. */
  #finish({ call, run }: Product, { laid, launch }: Pending, freed: readonly Buffer[]): boolean {
    const [c] = call.outputs;
    const after = { laid, operands: launch.operands };
    const { blockOf } = this.#options;
    const act = lastActOf(after, { c: c!, isWanted: (buffer) => !freed.includes(buffer), blockOf });
    // The product still reads its factors where its result is written.
    if (!act || call.inputs.some(({ buffer }) => blockOf(buffer) === blockOf(act.output.buffer))) return false;
    const bound = call.inputs.length + 1 + act.epilogue.operands.length;
    if (bound > this.#options.maxBindings) return false;
    run({ ...call, outputs: [{ ...c!, ...act.output }], epilogue: act.epilogue });
    return true;
  }

  #join(first: Pending, second: Pending): Pending | undefined {
    const shared = sameShape(first.laid.shape, second.laid.shape) ? this.#sharedOperands(first, second) : undefined;
    if (!shared) return undefined;
    const known = memo(
      memo(this.#joints, first.laid, () => new WeakMap()),
      second.laid,
      () => new NumbersMemo(MOST_JOINTS),
    );
    const ways = [first, second].some(({ laid }) => laid.reduced.length > 0) ? this.#waysOf(first, second) : [];
    const { joint } = known.get([shared, ways], () => ({ joint: this.#joint(first, second, shared) }));
    return joint && bound(joint, first.launch, second.launch);
  }

  #joint(first: Pending, second: Pending, shared: readonly number[]): Joint | undefined {
    const { repeats, suits, orderOf } = this.#options;
    if (suits?.(first.laid, second.laid, shared) === false) return undefined;
    const fused = fuse(first.laid, second.laid, { shared, repeats });
    if (!fused) return undefined;
    const { laid, added } = fused;
    const joint = { laid, added, planned: { ...plan(laid.program, layoutOf(laid)), laid } };
    const count = first.launch.operands.length;
    const parts = [
      { ...first, places: first.launch.operands.map((_, i) => i) },
      { ...second, places: shared.map((own, i) => (own < 0 ? count + added.indexOf(i) : own)) },
    ];
    return keepsSums(bound(joint, first.launch, second.launch), parts, orderOf) ? joint : undefined;
  }

  /** How operands of two launches lie: on which the order of their sums may depend, beside sizes and strides. */
  #waysOf(first: Pending, second: Pending): number[] {
    const operands = [...first.launch.operands, ...second.launch.operands];
    const blocks = operands.map(({ buffer }) => this.#options.blockOf(buffer));
    return operands.map(({ offset }, i) => ALIGNMENT * blocks.indexOf(blocks[i]) + (offset % ALIGNMENT));
  }

  /** Which operand of the first each of the second is, −1 for none; undefined where one sees another's elements otherwise. */
  #sharedOperands(first: Pending, second: Pending): number[] | undefined {
    const { blockOf, maxBindings } = this.#options;
    const [own, others] = [first.launch.operands, second.launch.operands];
    const shared: number[] = [];
    for (let i = 0; i < others.length; i++) {
      const { buffer, offset } = others[i]!;
      const block = blockOf(buffer);
      let same = -1;
      for (let k = 0; k < own.length; k++) {
        if (blockOf(own[k]!.buffer) !== block) continue;
        if (own[k]!.offset === offset && areAlike(first.laid, second.laid, [k, i])) same = k;
        else if (first.kernel.operands[k]!.mode !== "read" || second.kernel.operands[i]!.mode !== "read")
          return undefined;
      }
      shared.push(same);
    }
    if (own.length + others.length <= maxBindings) return shared;
    const blocks = new Set([...own, ...others].map(({ buffer }) => blockOf(buffer)));
    return blocks.size > maxBindings ? undefined : shared;
  }
}

/** A joint of two launches, as a launch. */
function bound({ laid, planned, added }: Joint, first: Launch, second: Launch): Pending {
  const given = [...first.operands, ...added.map((i) => second.operands[i]!)];
  const operands = given.map((operand, i) => ({ ...operand, strides: planned.strides[i]! }));
  const params = [...first.params, ...second.params];
  return { kernel: planned.kernel, launch: { sizes: planned.sizes, operands, params, alike: planned }, laid };
}

/** Whether operands of two programs go through memory alike. */
function areAlike(first: Laid, second: Laid, [a, b]: readonly [number, number]): boolean {
  const [own, other] = [first.strides[a]!, second.strides[b]!];
  const { dtype } = first.program.operands[a]!;
  return (
    dtype === second.program.operands[b]!.dtype &&
    own.length === other.length &&
    first.shape.every((size, axis) => size === 1 || own[axis] === other[axis])
  );
}
