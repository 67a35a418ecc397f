import { checkpoint, OwnershipError, scope, Tensor } from "@dfine/tensor";
import { isParameter } from "./parameter.ts";
import { type LoadOptions, type LoadReport, loadState, type StateValue } from "./state.ts";

/** `selfAttn` → `self_attn`: fields carry their state-dict names in camel case. */
const snakeCase = (field: string): string => field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function modulesIn(name: string, value: unknown): [name: string, module: Module][] {
  if (value instanceof Module) return [[name, value]];
  return Array.isArray(value) ? value.flatMap((item, i) => modulesIn(`${name}.${i}`, item)) : [];
}

/**
 * A part of a network. Public fields that hold tensors made by `parameter` or `buffer`, modules, or arrays of modules are
 * its state, in the order of the fields; a field `selfAttn` is `self_attn` in the state dict. Private fields are not.
 */
export abstract class Module<Args extends readonly unknown[] = never[], Result = unknown> implements Disposable {
  /** Whether layers behave as in training: batch statistics, training outputs. */
  training = true;
  /** Whether this is a module from tensors to one that is worth computing twice: see `recompute`. */
  protected readonly isBlock: boolean = false;
  #isRecomputed = false;
  #isDisposed = false;

  /** What the module computes; called through `call`. */
  protected abstract forward(...args: Args): Result;

  /**
   * Runs the module in a scope of its own: intermediate tensors are freed when it returns.
   * @throws OwnershipError after `dispose`
   */
  call(...args: Args): Result {
    if (this.#isDisposed) throw new OwnershipError(`${this.constructor.name}: it was disposed`);
    const run = (inputs: Args) => scope<unknown>(this.constructor.name, () => this.forward(...inputs)) as Result;
    if (!this.#isRecomputed) return run(args);
    return checkpoint(
      (inputs) => run(inputs as unknown as Args) as Tensor,
      args as unknown as readonly [Tensor],
    ) as Result;
  }

  /** Direct children with their names: `layers.0`, `norm`. */
  children(): [name: string, module: Module][] {
    return Object.entries(this).flatMap(([field, value]) => modulesIn(snakeCase(field), value));
  }

  /** All tensors as PyTorch orders them: own parameters, own buffers, children. Shared tensors appear under each name. */
  #tensors(prefix = ""): [name: string, tensor: Tensor][] {
    const own = Object.entries(this).flatMap(([field, value]): [string, Tensor][] =>
      value instanceof Tensor ? [[prefix + snakeCase(field), value]] : [],
    );
    return [
      ...own.filter(([, tensor]) => isParameter(tensor)),
      ...own.filter(([, tensor]) => !isParameter(tensor)),
      ...this.children().flatMap(([name, child]) => child.#tensors(`${prefix}${name}.`)),
    ];
  }

  #distinct(wanted: (tensor: Tensor) => boolean): Map<string, Tensor> {
    const seen = new Set<Tensor>();
    const found = new Map<string, Tensor>();
    for (const [name, tensor] of this.#tensors()) {
      if (seen.has(tensor) || !wanted(tensor)) continue;
      seen.add(tensor);
      found.set(name, tensor);
    }
    return found;
  }

  /** Parameters by name, each once. The trainable ones have `requiresGrad`. */
  namedParameters(): Map<string, Tensor> {
    return this.#distinct(isParameter);
  }
  /** Buffers by name, each once. */
  namedBuffers(): Map<string, Tensor> {
    return this.#distinct((tensor) => !isParameter(tensor));
  }
  /** Number of elements of all parameters, trainable or not; shared ones count once. */
  parameterCount(): number {
    return [...this.namedParameters().values()].reduce((sum, { size }) => sum + size, 0);
  }
  /** The tensors themselves, not copies, by their official names; shared ones under each of their names. */
  stateDict(): Map<string, Tensor> {
    return new Map(this.#tensors());
  }
  /**
   * Copies values into the module's tensors. Batch counters (`num_batches_tracked`) may be missing or left over, and
   * derived buffers may be missing or of another shape.
   * @throws StateDictError listing missing, unexpected and mismatched names, unless `strict` is false
   */
  loadStateDict(state: ReadonlyMap<string, StateValue>, options: LoadOptions = {}): LoadReport {
    return loadState(this.stateDict(), state, { owner: this.constructor.name, ...options });
  }

  /** Switches this module and all below it to training or evaluation. */
  train(mode = true): this {
    this.training = mode;
    for (const [, child] of this.children()) child.train(mode);
    return this;
  }
  /** Switches this module and all below it to evaluation. */
  eval(): this {
    return this.train(false);
  }
  /** Excludes all parameters of this module from training. */
  freeze(): this {
    for (const tensor of this.namedParameters().values()) {
      if (!tensor.requiresGrad) continue;
      tensor.grad = undefined;
      tensor.requiresGrad = false;
    }
    return this;
  }
  /**
   * Has the outermost blocks in this module that hold trainable parameters keep nothing but their input for the gradient, and
   * compute the rest again when it is wanted: memory for time. The numbers stay the same.
   */
  recompute(): this {
    if (!this.isBlock) for (const [, child] of this.children()) child.recompute();
    else this.#isRecomputed = [...this.namedParameters().values()].some(({ requiresGrad }) => requiresGrad);
    return this;
  }
  /** This module and all below it. */
  modules(): Module[] {
    return [this, ...this.children().flatMap(([, child]) => child.modules())];
  }
  /** Frees the gradients of all parameters. */
  zeroGrad(): void {
    for (const tensor of this.namedParameters().values()) if (tensor.requiresGrad) tensor.grad = undefined;
  }

  /** Frees all tensors of this module and those below it. */
  dispose(): void {
    this.#isDisposed = true;
    this.zeroGrad();
    for (const [, child] of this.children()) child.dispose();
    for (const value of Object.values(this)) if (value instanceof Tensor) value.dispose();
  }
  /** Same as `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
