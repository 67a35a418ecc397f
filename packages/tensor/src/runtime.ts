import type { Backend } from "./backend.ts";
import { BackendError } from "./errors.ts";
import type { Kernel } from "./kernel/kernel.ts";

/** One device call, as `trace` sees it. */
export interface TraceEvent {
  readonly op: string;
  /** A generated kernel, or the name of the hand-written variant that ran. */
  readonly kernel: Kernel | string;
  readonly shapes: readonly (readonly number[])[];
}

interface Runtime {
  backend: Backend | undefined;
  gradientEnabled: boolean;
  recomputing: boolean;
  readonly disabledOverrides: Set<string>;
  trace: ((event: TraceEvent) => void) | undefined;
}

/** The engine's only global state. */
export const runtime: Runtime = {
  backend: undefined,
  gradientEnabled: true,
  recomputing: false,
  disabledOverrides: new Set(),
  trace: undefined,
};

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

/** Runs `body`, which may be asynchronous, with `change` applied to the runtime and undone afterwards. */
export function withRuntime<T>(change: Partial<Runtime>, body: () => T): T {
  const before: Partial<Runtime> = {};
  for (const key of Object.keys(change) as (keyof Runtime)[]) Object.assign(before, { [key]: runtime[key] });
  Object.assign(runtime, change);
  return settle(body, () => Object.assign(runtime, before));
}

/** Runs `body` with another default backend. */
export const withBackend = <T>(backend: Backend, body: () => T): T => withRuntime({ backend }, body);

/** Runs `body` without recording gradients. */
export const noGrad = <T>(body: () => T): T => withRuntime({ gradientEnabled: false }, body);

/** True while `checkpoint` runs a forward pass again: running statistics must not be updated then. */
export const isRecomputing = (): boolean => runtime.recomputing;

/** Turns hand-written kernels off by op name, so that a wrong number can be located. */
export function disableOverrides(ops: readonly string[]): void {
  runtime.disabledOverrides.clear();
  for (const op of ops) runtime.disabledOverrides.add(op);
}

/** Calls `trace` for every kernel that runs; undefined stops it. */
export function setTrace(trace: ((event: TraceEvent) => void) | undefined): void {
  runtime.trace = trace;
}

/** Runs `body` and then `cleanup`, after a returned promise has settled. */
export function settle<T>(body: () => T, cleanup: () => void): T {
  let result: T;
  try {
    result = body();
  } catch (error) {
    cleanup();
    throw error;
  }
  if (result instanceof Promise) return result.finally(cleanup) as T;
  cleanup();
  return result;
}
