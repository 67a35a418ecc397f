import type { Buffer } from "@dfine/tensor";
import {
  type Binding,
  fuse,
  type Kernel,
  type Laid,
  type Launch,
  layoutOf,
  memo,
  NumbersMemo,
  plan,
} from "@dfine/tensor/kernel";
import type { GpuBuffer } from "./memory/gpuBuffer.ts";

/** A launch whose program may still be joined with the next one's. */
interface Pending {
  readonly kernel: Kernel;
  readonly launch: Launch;
  readonly laid: Laid;
}

interface FusionOptions {
  readonly run: (kernel: Kernel, launch: Launch) => void;
  readonly free: (buffer: Buffer) => void;
  readonly maxBindings: number;
}

/** A program with another behind it, planned. */
interface Joint {
  readonly laid: Laid;
  readonly planned: Omit<Pending, "launch"> &
    Pick<Launch, "sizes"> & { readonly strides: readonly (readonly number[])[] };
  readonly added: readonly number[];
}

/** Ways in which a program is joined with others. */
const MOST_JOINTS = 64;

/**
 * Joins generated kernels that follow each other and go over the same shape: an activation, what is added to it and the norm of that
 * become one dispatch. The last launch waits for the next command, whatever that is.
 */
export class Fusion {
  readonly #options: FusionOptions;
  #pending: Pending | undefined;
  /** Freed while what waits still needs them. */
  #freed: Buffer[] = [];
  readonly #joints = new WeakMap<Laid, WeakMap<Laid, NumbersMemo<{ readonly joint: Joint | undefined }>>>();

  constructor(options: FusionOptions) {
    this.#options = options;
  }

  /** Runs a kernel, perhaps later: before anything else that `flush` is called for. */
  run(kernel: Kernel, launch: Launch): void {
    const laid = launch.alike?.laid;
    if (laid && this.#pending) {
      const joined = this.#join(this.#pending, { kernel, launch, laid });
      if (joined) {
        this.#pending = joined;
        return;
      }
    }
    this.flush();
    if (laid) this.#pending = { kernel, launch, laid };
    else this.#options.run(kernel, launch);
  }

  /** Gives memory back, once what waits needs it no more. */
  free(buffer: Buffer): void {
    if (this.#pending?.launch.operands.some((operand) => operand.buffer === buffer)) this.#freed.push(buffer);
    else this.#options.free(buffer);
  }

  /** Runs what waits. */
  flush(): void {
    const pending = this.#pending;
    if (!pending) return;
    const freed = this.#freed;
    this.#pending = undefined;
    this.#freed = [];
    try {
      this.#options.run(pending.kernel, pending.launch);
    } finally {
      for (const buffer of freed) this.#options.free(buffer);
    }
  }

  #join(first: Pending, second: Pending): Pending | undefined {
    const shared = this.#sharedOperands(first, second);
    if (!shared) return undefined;
    const known = memo(
      memo(this.#joints, first.laid, () => new WeakMap()),
      second.laid,
      () => new NumbersMemo(MOST_JOINTS),
    );
    const { joint } = known.get([shared], () => ({ joint: this.#joint(first.laid, second.laid, shared) }));
    if (!joint) return undefined;
    const { laid, planned, added } = joint;
    const given = [...first.launch.operands, ...added.map((i) => second.launch.operands[i]!)];
    const operands = given.map((operand, i) => ({ ...operand, strides: planned.strides[i]! }));
    const params = [...first.launch.params, ...second.launch.params];
    return { kernel: planned.kernel, launch: { sizes: planned.sizes, operands, params, alike: planned }, laid };
  }

  #joint(first: Laid, second: Laid, shared: readonly number[]): Joint | undefined {
    const fused = fuse(first, second, shared);
    if (!fused) return undefined;
    const { laid, added } = fused;
    return { laid, added, planned: { ...plan(laid.program, layoutOf(laid)), laid } };
  }

  /** Which operand of the first each of the second is, −1 for none; undefined where one sees another's elements otherwise. */
  #sharedOperands(first: Pending, second: Pending): number[] | undefined {
    const shared: number[] = [];
    const blocks = new Set(first.launch.operands.map(blockOf));
    for (const [i, operand] of second.launch.operands.entries()) {
      const block = blockOf(operand);
      let own = -1;
      for (const [k, other] of first.launch.operands.entries()) {
        if (blockOf(other) !== block) continue;
        if (other.offset === operand.offset && areAlike(first.laid, second.laid, [k, i])) own = k;
        else if (first.kernel.operands[k]!.mode !== "read" || second.kernel.operands[i]!.mode !== "read")
          return undefined;
      }
      shared.push(own);
      blocks.add(block);
    }
    return blocks.size > this.#options.maxBindings ? undefined : shared;
  }
}

const blockOf = ({ buffer }: Binding) => (buffer as GpuBuffer).block;

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
