import { arch, availableParallelism, cpus, platform, release, totalmem } from "node:os";
import type { Backend } from "@dfine/tensor";
import { version } from "../../package.json";

export const packageVersion = (): string => version;

/** On what a run ran: what one needs to compare it with another. */
export function environment(backend: Backend): Record<string, string | number> {
  return {
    dfine: packageVersion(),
    node: process.version,
    backend: backend.details === undefined ? backend.name : `${backend.name}, ${backend.details}`,
    system: `${platform()} ${release()} ${arch()}`,
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    "memory, GB": Math.round(totalmem() / 2 ** 30),
  };
}
