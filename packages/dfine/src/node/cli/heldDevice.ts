import type { Backend } from "@dfine/tensor";
import { type ResolvedDevice, resolveDevice } from "../../device.ts";
import type { TrainerOptions } from "../../train/trainer.ts";
import type { DeviceOptionValues } from "./options.ts";

/** The device of a training command, whichever backend stands for it now; disposing this disposes that one. */
export class HeldDevice implements Disposable {
  #backend: Backend;
  readonly #revive: ResolvedDevice["revive"];

  constructor({ backend, revive }: ResolvedDevice) {
    this.#backend = backend;
    this.#revive = revive;
  }

  /** @throws DeviceError for a device that is not there */
  static async open(values: DeviceOptionValues): Promise<HeldDevice> {
    return new HeldDevice(await resolveDevice(values.device, values));
  }

  get backend(): Backend {
    return this.#backend;
  }

  /** What a trainer needs to compute here, also after a loss. */
  get forTrainer(): Pick<TrainerOptions, "backend" | "reviveBackend"> {
    const revive = this.#revive;
    if (!revive) return { backend: this.#backend };
    const reviveBackend = async (lost: Backend): Promise<Backend> => {
      this.#backend = await revive(lost);
      return this.#backend;
    };
    return { backend: this.#backend, reviveBackend };
  }

  [Symbol.dispose](): void {
    this.#backend.dispose();
  }
}
