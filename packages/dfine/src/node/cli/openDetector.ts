import { type DeviceOptions, type ResolvedDevice, resolveDevice } from "../../device.ts";
import { DFine } from "../detector.ts";
import type { DetectorOptionValues, DeviceOptionValues } from "./options.ts";
import type { Terminal } from "./terminal.ts";

const deviceOptions = ({ threads, wide }: DeviceOptionValues, terminal: Terminal): DeviceOptions => ({
  threads,
  wide: wide === "off" ? false : wide,
  onDevice: (text) => terminal.note(`device: ${text}`),
});

/** The device of a training command. @throws DeviceError for one that is not there */
export const openDevice = (values: DeviceOptionValues, terminal: Terminal): Promise<ResolvedDevice> =>
  resolveDevice(values.device, deviceOptions(values, terminal));

/** Opens the weights of a command on its device. @throws ModelFileError, SafetensorsError, DeviceError, ConfigError */
export async function openDetector(values: DetectorOptionValues, terminal: Terminal): Promise<DFine> {
  const { weights, device, size, ema } = values;
  return await DFine.fromPretrained(weights, {
    ...{ device, size, ema: ema ? undefined : false },
    ...deviceOptions(values, terminal),
  });
}
