import { OwnershipError } from "./errors.ts";
import { settle } from "./runtime.ts";
import { Tensor } from "./tensor.ts";

/** Owns the handles made while it is the innermost open scope, and frees them when it closes. */
export class Scope implements Disposable {
  readonly name: string;
  readonly parent: Scope | undefined;
  readonly #owned = new Set<Tensor>();

  constructor(name: string) {
    this.name = name;
    this.parent = innermost;
    innermost = this;
  }

  /** Takes a handle: it is freed with the scope. */
  own(tensor: Tensor): void {
    this.#owned.add(tensor);
    tensor.owner = this;
  }

  /** Lets a handle go; somebody else frees it. */
  disown(tensor: Tensor): void {
    this.#owned.delete(tensor);
    tensor.owner = undefined;
  }

  /** @throws OwnershipError when a scope opened later is still open */
  close(): void {
    if (innermost !== this)
      throw new OwnershipError(
        `scope "${this.name}" closes while "${innermost?.name ?? "none"}" is innermost: two asynchronous flows share this runtime; await one before the other`,
      );
    innermost = this.parent;
    for (const tensor of this.#owned) tensor.dispose();
    this.#owned.clear();
  }

  /** Same as `close`, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

let innermost: Scope | undefined;

/** The scope that owns tensors made now. */
export const currentScope = (): Scope | undefined => innermost;

/** Every tensor inside arrays, plain objects and maps. */
export function tensorsIn(value: unknown, found: Tensor[] = []): Tensor[] {
  if (value instanceof Tensor) found.push(value);
  else if (Array.isArray(value)) for (const item of value) tensorsIn(item, found);
  else if (value instanceof Map) for (const item of value.values()) tensorsIn(item, found);
  else if (value !== null && typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype)
    for (const item of Object.values(value)) tensorsIn(item, found);
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
    for (const tensor of tensorsIn(result)) if (tensor.owner === own) moveTo(tensor, own.parent);
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
  for (const tensor of tensorsIn(value)) moveTo(tensor, undefined);
  return value;
}

function moveTo(tensor: Tensor, target: Scope | undefined): void {
  tensor.owner?.disown(tensor);
  if (target) target.own(tensor);
  else tensor.watch();
}
