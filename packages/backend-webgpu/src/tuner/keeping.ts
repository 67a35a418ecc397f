import { dawnProcess } from "../device/adapter.ts";
import type { OpenDevice } from "../device/openDevice.ts";
import type { WebGpuOptions } from "../options.ts";
import type { TunedChoices } from "./choices.ts";
import { keptChoices } from "./kept.node.ts";

/** Choices are kept where a process has a cache folder; a fault of it is told, and nothing is kept then. */
export function keeping(
  { identity, software }: OpenDevice,
  { tuning, choices }: WebGpuOptions,
  report: (text: string) => void,
): Pick<WebGpuOptions, "tuning" | "choices"> & { readonly onChoices?: (choices: TunedChoices) => unknown } {
  if (!dawnProcess() || tuning === "fixed" || (software && tuning === undefined)) return {};
  const kept = keptChoices();
  const attempt = <T>(work: () => T): T | undefined => {
    try {
      return work();
    } catch (error) {
      report(`webgpu: what is measured of products cannot be kept: ${(error as Error).message}`);
      return undefined;
    }
  };
  const known = choices ?? attempt(() => kept.read(identity));
  return { tuning: "measured", ...(known && { choices: known }), onChoices: (all) => attempt(() => kept.write(all)) };
}
