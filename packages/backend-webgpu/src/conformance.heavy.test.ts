import { conformance } from "@dfine/tensor/testing";
import { afterAll, describe, it } from "vitest";
import { oneDevice } from "../test/oneDevice.ts";
import "../../tensor/test/trials.ts";

const device = await oneDevice();
afterAll(() => device.destroy());

describe.each([
  ["as chosen for the adapter", device.make()],
  ["with workgroup folds", device.make({ barriers: true })],
] as const)("conformance, %s", (_, backend) => {
  for (const check of conformance(backend)) it(check.name, () => check.run());
});
