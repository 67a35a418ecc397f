import { afterAll } from "vitest";
import { functionProperties } from "../../../tensor/test/functionProperties.ts";
import { webgpu } from "../index.ts";

const backend = await webgpu();
afterAll(() => backend.dispose());

functionProperties(backend, {
  ulps: { exp: 3, log: 3, tanh: 4, sigmoid: 6, "erf near 0": 3, sqrt: 3 },
  erf: 2e-7,
  signedZeros: false,
});
