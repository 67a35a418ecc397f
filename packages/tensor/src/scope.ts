import { OwnershipError } from "./errors.ts";
import { settle } from "./runtime.ts";

/** What a scope owns: a tensor's handle. */
export abstract class Handle implements Disposable {
  /** The scope that frees this handle. */
  owner: Scope | undefined;

  /** Belongs to the innermost scope from now on; without one the collector frees it. */
  protected enter(): void {
    if (innermost) innermost.own(this);
    else this.watch();
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

/** Owns the handles made while it is the innermost open scope, and frees them when it closes. */
export class Scope implements Disposable {
  readonly name: string;
  readonly parent: Scope | undefined;
  readonly #owned = new Set<Handle>();

  constructor(name: string) {
    this.name = name;
    this.parent = innermost;
    innermost = this;
  }

  /** Takes a handle: it is freed with the scope. */
  own(handle: Handle): void {
    this.#owned.add(handle);
    handle.owner = this;
  }

  /** Lets a handle go; somebody else frees it. */
  disown(handle: Handle): void {
    this.#owned.delete(handle);
    handle.owner = undefined;
  }

  /** @throws OwnershipError when a scope opened later is still open */
  close(): void {
    if (innermost !== this)
      throw new OwnershipError(
        `scope "${this.name}" closes while "${innermost?.name ?? "none"}" is innermost: two asynchronous flows share this runtime; await one before the other`,
      );
    innermost = this.parent;
    for (const handle of this.#owned) handle.dispose();
    this.#owned.clear();
  }

  /** Same as `close`, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

let innermost: Scope | undefined;

/** Every tensor inside arrays, plain objects and maps. */
function handlesIn(value: unknown, found: Handle[] = []): Handle[] {
  if (value instanceof Handle) found.push(value);
  else if (Array.isArray(value)) for (const item of value) handlesIn(item, found);
  else if (value instanceof Map) for (const item of value.values()) handlesIn(item, found);
  else if (value !== null && typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype)
    for (const item of Object.values(value)) handlesIn(item, found);
  return found;
}

/** Opens a scope for `using`: `using step = openScope("train step")`. */
export const openScope = (name: string): Scope => new Scope(name);

/**
 * Runs `body` in a scope of its own. Tensors in its result (also inside arrays, plain objects and maps) move to the
 * surrounding scope; everything else made inside is freed. A promise closes the scope when it settles.
 */
export function scope<T>(name: string, body: () => T): T {
  const own = new Scope(name);
  const hand = <R>(result: R): R => {
    for (const handle of handlesIn(result)) if (handle.owner === own) moveTo(handle, own.parent);
    return result;
  };
  return settle(
    () => {
      const result = body();
      return (result instanceof Promise ? result.then(hand) : hand(result)) as T;
    },
    () => own.close(),
  );
}

/** Takes tensors out of all scopes: they live until `dispose()` or until nothing refers to them. */
export function keep<T>(value: T): T {
  for (const handle of handlesIn(value)) moveTo(handle, undefined);
  return value;
}

function moveTo(handle: Handle, target: Scope | undefined): void {
  handle.owner?.disown(handle);
  if (target) target.own(handle);
  else handle.watch();
}
