import { memo } from "@dfine/tensor/kernel";
import type { GpuRuntime } from "./runtime.ts";
import { type BufferView, type WgslCall, type WgslKernel, wholeNumbers } from "./wgslKernel.ts";

const THREADS = 64;
/** Threads of a full row of workgroups: as many as every device takes along one axis. */
const ROW_THREADS = 65535 * THREADS;

/**
 * A kernel with a thread per element: `body` defines `fn element(i: i32)`. Its uniforms are whole numbers, those that
 * `dispatchElements` is given.
 */
export type ElementKernel<B extends string = string> = Omit<WgslKernel<B>, "uniforms">;

/** Checks a kernel's bindings against its calls. */
export const elementKernel = <const B extends string>(kernel: ElementKernel<B>): ElementKernel<B> => kernel;

export interface ElementCall<B extends string> extends Pick<WgslCall<B, string>, "views" | "uniforms"> {
  /** Elements, from 0 on. */
  readonly count: number;
  /** Element visits that each takes; default 1. */
  readonly visits?: number;
}

const complete = new Map<ElementKernel, WgslKernel>();

const withMain = (kernel: ElementKernel, uniforms: Readonly<Record<string, number>>): WgslKernel => ({
  ...kernel,
  uniforms: wholeNumbers(uniforms),
  body: `
${kernel.body.trim()}
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let i = u.first + i32(id.y * ${ROW_THREADS}u + id.x);
  if (i < u.last) { element(i); }
}`,
});

/** Runs an element kernel, in several dispatches where one would take too long. */
export function dispatchElements<B extends string>(
  runtime: GpuRuntime,
  kernel: ElementKernel<B>,
  { views, uniforms, count, visits = 1 }: ElementCall<B>,
): void {
  const most = Math.max(THREADS, Math.floor(runtime.limits.visits / visits));
  for (let first = 0; first < count; first += most) {
    const last = Math.min(first + most, count);
    const own = { ...uniforms, first, last };
    const threads = last - first;
    const whole = memo(complete, kernel, () => withMain(kernel, own));
    runtime.dispatch(whole, {
      views,
      uniforms: own,
      workgroups: [Math.ceil(Math.min(threads, ROW_THREADS) / THREADS), Math.ceil(threads / ROW_THREADS)],
      work: threads * visits,
    });
  }
}

const CLEAR = elementKernel({
  name: "clear",
  bindings: { to: "write i32" },
  body: "fn element(i: i32) { to[u.o_to + i] = 0; }",
});

/** Writes zeros, of any dtype. */
export const clear = (runtime: GpuRuntime, to: BufferView, count: number): void =>
  dispatchElements(runtime, CLEAR, { views: { to }, uniforms: {}, count });
