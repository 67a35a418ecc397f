import type { Backend } from "./backend.ts";
import { BackendError, OwnershipError } from "./errors.ts";
import type { Kernel } from "./kernel/kernel.ts";

/** One device call, as `trace` sees it. */
export interface TraceEvent {
  readonly op: string;
  /** A generated kernel, or the name of the hand-written variant that ran. */
  readonly kernel: Kernel | string;
  readonly shapes: readonly (readonly number[])[];
}

/** Who is told of ops as they are called: see `recordCalls`. */
export interface Recorder {
  readonly see: (call: object) => void;
  readonly anySize: boolean;
}

interface Runtime {
  backend: Backend | undefined;
  gradientEnabled: boolean;
  recomputing: boolean;
  disabledOverrides: ReadonlySet<string>;
  trace: ((event: TraceEvent) => void) | undefined;
  recorder: Recorder | undefined;
}

/** The engine's only global state, with the innermost scope. But for what was set for good, it changes only inside calls. */
export const runtime: Runtime = {
  backend: undefined,
  gradientEnabled: true,
  recomputing: false,
  disabledOverrides: new Set(),
  trace: undefined,
  recorder: undefined,
};

/**
 * A function that does not wait: it returns no promise. What the engine sets for the time of a call must not be seen by
 * others, who run while a promise is awaited.
 */
export type Stretch<T> = (() => T) &
  (Extract<T, PromiseLike<unknown>> extends never ? unknown : "must not wait: hold a Scope and run each stretch in it");

/** Chooses where new tensors are made. Ops run where their inputs are. */
export function setBackend(backend: Backend | undefined): void {
  runtime.backend = backend;
}

/** @throws BackendError when none was chosen */
export function currentBackend(): Backend {
  if (runtime.backend === undefined)
    throw new BackendError(
      "no backend is chosen: call setBackend(cpu()) first, or pass { backend } where the tensor is made",
    );
  return runtime.backend;
}

/** Runs `body` with `change` applied to the runtime, if any, and undoes it. @throws OwnershipError when `body` waits */
export function withRuntime<T>(change: Partial<Runtime> | undefined, body: () => T): T {
  if (change === undefined) return ended(body());
  const before: Partial<Runtime> = {};
  for (const key of Object.keys(change) as (keyof Runtime)[]) Object.assign(before, { [key]: runtime[key] });
  Object.assign(runtime, change);
  try {
    return ended(body());
  } finally {
    Object.assign(runtime, before);
  }
}

function ended<T>(result: T): T {
  if (typeof (result as Partial<PromiseLike<unknown>> | undefined | null)?.then !== "function") return result;
  Promise.resolve(result).catch(() => undefined);
  throw new OwnershipError(
    "scope, Scope.run, withBackend and noGrad take functions that do not wait, but this one returned a promise: hold a " +
      "scope (using flow = new Scope(name, { backend })), make tensors in flow.run(() => …), and await between such calls",
  );
}

/** Runs `body` with another default backend. @throws OwnershipError when `body` waits */
export const withBackend = <T>(backend: Backend, body: Stretch<T>): T => withRuntime({ backend }, body);

/** Runs `body` without recording gradients. @throws OwnershipError when `body` waits */
export function noGrad<T>(body: Stretch<T>): T {
  const before = runtime.gradientEnabled;
  runtime.gradientEnabled = false;
  try {
    return ended(body());
  } finally {
    runtime.gradientEnabled = before;
  }
}

/** True while `checkpoint` runs a forward pass again: running statistics must not be updated then. */
export const isRecomputing = (): boolean => runtime.recomputing;

/** Runs `body` without the hand-written kernels of `ops`, so that a wrong number can be located. */
export const withoutOverrides = <T>(ops: readonly string[], body: Stretch<T>): T =>
  withRuntime({ disabledOverrides: new Set(ops) }, body);

/** Calls `trace` for every kernel that runs; undefined stops it. */
export function setTrace(trace: ((event: TraceEvent) => void) | undefined): void {
  runtime.trace = trace;
}
