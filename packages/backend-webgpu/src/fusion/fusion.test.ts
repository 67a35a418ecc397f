import { afterAll } from "vitest";
import { joinProperties } from "../../../tensor/test/joinProperties.ts";
import { oneDevice } from "../../test/oneDevice.ts";

const device = await oneDevice();
afterAll(() => device.destroy());

/** With few bindings joints often become too large. */
joinProperties(
  [
    { waiting: device.make(), alone: device.make({ waits: false }) },
    { waiting: device.make({ barriers: true }), alone: device.make({ barriers: true, waits: false }) },
    { waiting: device.make({ maxBindings: 5 }), alone: device.make({ maxBindings: 5, waits: false }) },
  ],
  60,
);
