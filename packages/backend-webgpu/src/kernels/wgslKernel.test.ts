import { afterAll, expect, it } from "vitest";
import { testDevice } from "../../test/device.ts";
import { isVec4, wgslKernel } from "./wgslKernel.ts";

const { backend, runtime } = await testDevice();
afterAll(() => backend.dispose());

const scale = wgslKernel({
  name: "test.scale",
  bindings: { x: "read f32", x4: "read vec4f", y: "write f32" },
  uniforms: { n: "i32", factor: "f32" },
  body: `
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let i = i32(id.x);
  if (i < u.n) { y[u.o_y + i] = exp_f32(x[u.o_x + i]) * u.factor + x4[u.o_x4 + i / 4][i % 4]; }
}`,
});

function viewOf(values: Float32Array, offset: number) {
  const buffer = backend.alloc(values.length + offset + 5, "f32");
  backend.write({ buffer, offset, length: values.length }, values);
  return { buffer, dtype: "f32", shape: [values.length], strides: [1], offset } as const;
}

it("binds views, also one buffer as two types, and passes uniforms", async () => {
  const x = Float32Array.from({ length: 131 }, (_, i) => i / 50 - 1);
  const from = viewOf(x, 8);
  const to = viewOf(new Float32Array(131), 3);
  const call = { views: { x: from, x4: from, y: to }, uniforms: { n: 131, factor: -2.5 }, workgroups: [3] } as const;
  runtime.dispatch(scale, call);
  const [y] = await backend.read([{ buffer: to.buffer, offset: 3, length: 131 }]);
  for (const [i, v] of x.entries()) expect(y![i]).toBeCloseTo(-2.5 * Math.exp(v) + v, 5);
  expect(() => runtime.dispatch(scale, { ...call, views: { ...call.views, x4: to } })).toThrow(
    /x4 starts at element 3/,
  );
});

it("lends scratch memory that later kernels may have", async () => {
  const { bytes } = backend.memory();
  const inner = runtime.withScratch(1000, "f32", (scratch) => {
    expect(scratch.shape).toEqual([1000]);
    return backend.memory().bytes;
  });
  expect(inner).toBeGreaterThanOrEqual(bytes + 4000);
  expect(backend.memory().bytes).toBe(bytes);
});

it("knows views that vec4f can bind", () => {
  expect([isVec4({ offset: 8 }), isVec4({ offset: 6 })]).toEqual([true, false]);
});

it("tells a mistake in the WGSL with its text, and gives no result", async () => {
  const { backend: broken, runtime: on } = await testDevice();
  const kernel = wgslKernel({ ...scale, name: "test.mistake", body: scale.body.replace("exp_f32(", "exponential(") });
  const view = { buffer: broken.alloc(8, "f32"), offset: 0 };
  const other = { buffer: broken.alloc(8, "f32"), offset: 0 };
  on.dispatch(kernel, { views: { x: view, x4: view, y: other }, uniforms: { n: 1, factor: 1 }, workgroups: [1] });
  const reading = broken.read([{ buffer: other.buffer, offset: 0, length: 8 }]);
  await expect(reading).rejects.toThrow(
    /kernel test\.mistake is not valid[\s\S]*exponential[\s\S]*WGSL:\n {3}1 {2}struct/,
  );
  expect(() => broken.alloc(1, "f32")).toThrow(/test\.mistake/);
  broken.dispose();
});
