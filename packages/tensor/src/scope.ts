import type { Backend } from "./backend.ts";
import { ArgumentError, OwnershipError } from "./errors.ts";
import { type Stretch, withRuntime } from "./runtime.ts";

/** What a scope owns: a tensor's handle. */
export abstract class Handle implements Disposable {
  /** The scope that frees this handle, and its neighbours there. */
  owner: Scope | undefined = undefined;
  before: Handle | undefined = undefined;
  after: Handle | undefined = undefined;

  /** Belongs to the innermost scope from now on; without one the collector frees it. */
  protected enter(): void {
    moveTo(this, innermost);
  }

  /** Frees this handle. */
  abstract dispose(): void;
  /** Lets the collector free this handle when nothing refers to it. */
  abstract watch(): void;
  /** Same as `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** What holds in a scope's stretches; what is left out stays as it is outside. */
export interface ScopeOptions {
  /** Where tensors are made. */
  readonly backend?: Backend;
  /** Whether gradients are recorded. */
  readonly gradients?: boolean;
}

/** @throws ArgumentError for a key that is no option */
function runtimeOf({ backend, gradients, ...others }: ScopeOptions): { backend?: Backend; gradientEnabled?: boolean } {
  const [wrong] = Object.keys(others);
  if (wrong !== undefined)
    throw new ArgumentError(`Scope: there is no option "${wrong}"; there are backend, gradients`);
  return {
    ...(backend === undefined ? {} : { backend }),
    ...(gradients === undefined ? {} : { gradientEnabled: gradients }),
  };
}

/**
 * Owns the tensors made in its stretches, and frees them when it is closed. One that is held across awaits belongs to what
 * its holder does, whoever else computes meanwhile: `using flow = new Scope("train step")`, then `flow.run(() => …)`.
 */
export class Scope implements Disposable {
  readonly name: string;
  readonly #runtime: { backend?: Backend; gradientEnabled?: boolean } | undefined;
  /** Ends of the chain of handles that it owns, in the order in which it took them. */
  #first: Handle | undefined;
  #last: Handle | undefined;
  #stretches = 0;
  #isClosed = false;

  constructor(name: string, options?: ScopeOptions) {
    this.name = name;
    this.#runtime = options && runtimeOf(options);
  }

  /**
   * Runs a stretch: this scope is the innermost one until `body` returns. Its results stay this scope's.
   * @throws OwnershipError when the scope is closed, or when `body` waits
   */
  run<T>(body: Stretch<T>): T {
    this.#check("runs");
    const outer = innermost;
    innermost = this;
    this.#stretches++;
    try {
      return withRuntime(this.#runtime, body);
    } finally {
      this.#stretches--;
      innermost = outer;
    }
  }

  /** Takes a handle: it is freed with the scope. @throws OwnershipError when the scope is closed */
  own(handle: Handle): void {
    this.#check("takes a tensor");
    const last = this.#last;
    if (last) last.after = handle;
    else this.#first = handle;
    handle.before = last;
    handle.owner = this;
    this.#last = handle;
  }

  /** Lets a handle go; somebody else frees it. */
  disown(handle: Handle): void {
    const { before, after } = handle;
    if (before) before.after = after;
    else this.#first = after;
    if (after) after.before = before;
    else this.#last = before;
    handle.owner = handle.before = handle.after = undefined;
  }

  #check(what: string): void {
    if (this.#isClosed) throw new OwnershipError(`scope "${this.name}" ${what} after it was closed`);
  }

  /** Frees what the scope owns. Closed again, it does nothing. @throws OwnershipError inside one of its stretches */
  close(): void {
    if (this.#stretches > 0)
      throw new OwnershipError(
        `scope "${this.name}" closes inside a stretch of its own; close it after run() returned`,
      );
    this.#isClosed = true;
    for (let handle = this.#first; handle; handle = this.#first) {
      this.disown(handle);
      handle.dispose();
    }
  }

  /** Same as `close`, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

let innermost: Scope | undefined;

/** Moves every tensor inside arrays, plain objects and maps; of a scope's results those alone that it owns. */
function moveAll(value: unknown, target: Scope | undefined, from?: Scope): void {
  if (typeof value !== "object" || value === null) return;
  if (value instanceof Handle) {
    if (!from || value.owner === from) moveTo(value, target);
  } else if (Array.isArray(value)) for (let i = 0; i < value.length; i++) moveAll(value[i], target, from);
  else if (value instanceof Map) for (const item of value.values()) moveAll(item, target, from);
  else if (Object.getPrototypeOf(value) === Object.prototype)
    for (const item of Object.values(value)) moveAll(item, target, from);
}

/**
 * Runs `body` in a scope of its own. Tensors in its result (also inside arrays, plain objects and maps) move to the
 * surrounding scope; everything else made inside is freed. @throws OwnershipError when `body` waits
 */
export function scope<T>(name: string, body: Stretch<T>): T {
  const own = new Scope(name);
  try {
    const result = own.run(body);
    moveAll(result, innermost, own);
    return result;
  } finally {
    own.close();
  }
}

/** Whether the innermost scope owns a handle. */
export const isOwnedHere = ({ owner }: Handle): boolean => owner !== undefined && owner === innermost;

/** Takes tensors out of all scopes: they live until `dispose()` or until nothing refers to them. */
export function keep<T>(value: T): T {
  moveAll(value, undefined);
  return value;
}

function moveTo(handle: Handle, target: Scope | undefined): void {
  handle.owner?.disown(handle);
  if (target) target.own(handle);
  else handle.watch();
}
