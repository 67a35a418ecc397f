import type { Backend } from "@dfine/tensor";
import { resolveDevice } from "../../device.ts";
import type { TrainerOptions } from "../../train/trainer.ts";
import type { DeviceOptionValues } from "./options.ts";
import type { Terminal } from "./terminal.ts";

/** What a trainer needs to compute, also after a loss; `backend` is the one of now, and disposing this disposes that. */
export type HeldDevice = Pick<TrainerOptions, "backend" | "reviveBackend"> & Disposable;

/** The device of a training command. @throws DeviceError for one that is not there */
export async function holdDevice({ device, threads }: DeviceOptionValues, terminal: Terminal): Promise<HeldDevice> {
  const onDevice = (text: string) => terminal.note(`device: ${text}`);
  const resolved = await resolveDevice(device, { onDevice, ...(threads === undefined ? {} : { threads }) });
  const { revive } = resolved;
  let { backend } = resolved;
  const reviveBackend = async (lost: Backend): Promise<Backend> => {
    backend = await revive!(lost);
    return backend;
  };
  return {
    get backend() {
      return backend;
    },
    ...(revive ? { reviveBackend } : {}),
    [Symbol.dispose]: () => backend.dispose(),
  };
}
