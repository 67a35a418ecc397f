import type { GpuRuntime } from "./runtime.ts";
import { type BufferView, type WgslCall, type WgslKernel, wgslKernel } from "./wgslKernel.ts";

const THREADS = 64;
/** Threads of a full row of workgroups: as many as every device takes along one axis. */
const ROW_THREADS = 65535 * THREADS;
/** Visits of one dispatch; more are split, so that no dispatch runs for seconds. */
const MOST_VISITS = 2 ** 28;

/** A kernel with a thread per element, from a body that defines `fn element(i: i32)`. Run it with `dispatchElements`. */
export const elementKernel = <const B extends string, const U extends string>(
  kernel: WgslKernel<B, U>,
): WgslKernel<B, U | "first" | "last"> =>
  wgslKernel({
    ...kernel,
    uniforms: { ...kernel.uniforms, first: "i32", last: "i32" } as WgslKernel<B, U | "first" | "last">["uniforms"],
    body: `
${kernel.body.trim()}
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let i = u.first + i32(id.y * ${ROW_THREADS}u + id.x);
  if (i < u.last) { element(i); }
}`,
  });

export interface ElementCall<B extends string, U extends string>
  extends Omit<WgslCall<B, U>, "workgroups" | "work" | "uniforms"> {
  readonly uniforms: Readonly<Record<Exclude<U, "first" | "last">, number>>;
  /** Elements, from 0 on. */
  readonly count: number;
  /** Multiplications or element visits that each takes; default 1. */
  readonly visits?: number;
}

/** Runs an element kernel, in several dispatches where one would take too long. */
export function dispatchElements<B extends string, U extends string>(
  runtime: GpuRuntime,
  kernel: WgslKernel<B, U>,
  { views, uniforms, count, visits = 1 }: ElementCall<B, U>,
): void {
  const most = Math.max(THREADS, Math.floor(MOST_VISITS / visits));
  for (let first = 0; first < count; first += most) {
    const last = Math.min(first + most, count);
    const threads = last - first;
    runtime.dispatch(kernel, {
      views,
      uniforms: { ...uniforms, first, last } as WgslCall<B, U>["uniforms"],
      workgroups: [Math.ceil(Math.min(threads, ROW_THREADS) / THREADS), Math.ceil(threads / ROW_THREADS)],
      work: threads * visits,
    });
  }
}

const CLEAR = elementKernel({
  name: "clear",
  bindings: { to: "write i32" },
  uniforms: {},
  body: "fn element(i: i32) { to[u.o_to + i] = 0; }",
});

/** Writes zeros, of any dtype. */
export const clear = (runtime: GpuRuntime, to: BufferView, count: number): void =>
  dispatchElements(runtime, CLEAR, { views: { to }, uniforms: {}, count });
