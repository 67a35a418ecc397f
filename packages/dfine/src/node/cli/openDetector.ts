import { DFine } from "../detector.ts";
import type { DeviceOptionValues } from "./options.ts";
import type { Terminal } from "./terminal.ts";

/** Options of commands that use weights. */
export interface DetectorOptionValues extends DeviceOptionValues {
  readonly weights: string;
  readonly ema: boolean;
  readonly size?: [number, number];
}

/** Opens the weights of a command on its device. @throws ModelFileError, SafetensorsError, DeviceError, ConfigError */
export async function openDetector(
  { weights, device, threads, size, ema }: DetectorOptionValues,
  terminal: Terminal,
): Promise<DFine> {
  return await DFine.fromPretrained(weights, {
    device,
    onDevice: (text) => terminal.note(`device: ${text}`),
    ...(threads === undefined ? {} : { threads }),
    ...(size ? { size } : {}),
    ...(ema ? {} : { ema }),
  });
}
