import { afterAll } from "vitest";
import { joinProperties } from "../../../tensor/test/joinProperties.ts";
import { oneDevice } from "../../test/oneDevice.ts";

const device = await oneDevice();
afterAll(() => device.destroy());

const few = { maxBindings: 5 };
/** With few bindings joints often become too large. */
joinProperties(
  [
    { waiting: device.make(), alone: device.make({ waits: false }) },
    { waiting: device.make({ barriers: true }), alone: device.make({ barriers: true, waits: false }) },
    { waiting: device.make({ ...few, barriers: true }), alone: device.make({ ...few, barriers: true, waits: false }) },
  ],
  60,
);
