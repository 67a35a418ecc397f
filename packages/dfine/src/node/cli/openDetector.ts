import type { FetchOptions } from "../../checkpoint/fetch.ts";
import { type DeviceOptions, type ResolvedDevice, resolveDevice } from "../../device.ts";
import { DFine } from "../detector.ts";
import type { DetectorOptionValues, DeviceOptionValues } from "./options.ts";
import type { Terminal } from "./terminal.ts";

/** What of a device is chosen by options, and who is told of it. */
export const deviceOptions = (
  { threads, wide, deterministic }: DeviceOptionValues,
  terminal: Terminal,
): DeviceOptions => ({
  threads,
  deterministic,
  wide: wide === "off" ? false : wide,
  onDevice: (text) => terminal.note(`device: ${text}`),
});

/** The device of a training command. @throws DeviceError for one that is not there */
export const openDevice = (values: DeviceOptionValues, terminal: Terminal): Promise<ResolvedDevice> =>
  resolveDevice(values.device, deviceOptions(values, terminal));

const MEGABYTE = 1e6;

/** Shows how far weights that have to be fetched are. */
export const shownDownload = (terminal: Terminal): Pick<FetchOptions, "onProgress"> => ({
  onProgress: ({ received, total }) => {
    const of = total === undefined ? "" : ` of ${(total / MEGABYTE).toFixed(1)}`;
    terminal.progress(`fetching weights · ${(received / MEGABYTE).toFixed(1)}${of} MB`);
  },
});

/** Opens the weights of a command on its device. @throws ModelFileError, SafetensorsError, DeviceError, ConfigError */
export async function openDetector(
  values: Pick<DetectorOptionValues, "weights" | "size" | "ema" | keyof DeviceOptionValues>,
  terminal: Terminal,
): Promise<DFine> {
  const { weights, device, size, ema } = values;
  return await DFine.fromPretrained(weights, {
    ...{ device, size, ema: ema ? undefined : false },
    ...deviceOptions(values, terminal),
    ...shownDownload(terminal),
  });
}
