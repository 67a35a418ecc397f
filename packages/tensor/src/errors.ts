/** Base of every error this engine throws on purpose. */
export class TensorError extends Error {
  override readonly name: string = "TensorError";
}

/** Shapes, axes or sizes that do not fit the op. */
export class ShapeError extends TensorError {
  override readonly name = "ShapeError";
}

/** An element type the op does not take. */
export class DtypeError extends TensorError {
  override readonly name = "DtypeError";
}

/** An argument of another kind than the op takes: no tensor, one too many, an option that does not exist or does not fit. */
export class ArgumentError extends TensorError {
  override readonly name = "ArgumentError";
}

/**
 * A tensor used after it was freed or written where it is read as well, a scope used after it was closed or closed while it
 * runs, or a stretch that waits.
 */
export class OwnershipError extends TensorError {
  override readonly name = "OwnershipError";
}

/** The device failed: out of memory, lost, a kernel that does not compile, a worker that died. */
export class BackendError extends TensorError {
  override readonly name: string = "BackendError";
}

/** The device's memory is used up. `facts` says how far it went, `remedy` what would fit. */
export class OutOfMemoryError extends BackendError {
  override readonly name = "OutOfMemoryError";
  readonly facts: string;

  constructor(facts: string, remedy: string) {
    super(`${facts}; ${remedy}`);
    this.facts = facts;
  }
}

/** The device is gone with all that it held. A new backend must be made, and what was on the old one restored. */
export class DeviceLostError extends BackendError {
  override readonly name = "DeviceLostError";
}

/** A gradient was asked for where none is defined. */
export class GradientError extends TensorError {
  override readonly name = "GradientError";
}
