import { BackendError } from "@dfine/tensor";
import { cacheFolder, writeWhole } from "../device/cacheFolder.node.ts";
import { readChoices, type TunedChoices, writeChoices } from "./choices.ts";

/** Where choices are kept in Node: a file for each adapter and driver in the user's own cache folder. */
export interface KeptChoices {
  /** The file of the adapter. @throws BackendError where somebody else could write into the folder */
  path(adapter: string): string;
  /** What is kept of the adapter; undefined where there is none. @throws BackendError for a file that is damaged */
  read(adapter: string): TunedChoices | undefined;
  /** Replaces what is kept of their adapter. @throws BackendError as `path` does */
  write(choices: TunedChoices): void;
  /** Whether there was a file. */
  remove(adapter: string): boolean;
}

/** What is kept in this process's cache folder. */
export function keptChoices(): KeptChoices {
  const { process } = globalThis;
  const fs = process.getBuiltinModule("fs");
  const { join } = process.getBuiltinModule("path");
  const path = (adapter: string): string => {
    const name = process.getBuiltinModule("crypto").createHash("sha256").update(adapter).digest("hex").slice(0, 16);
    try {
      return join(cacheFolder(process, "tuning"), `${name}.json`);
    } catch (error) {
      throw new BackendError(`webgpu: ${(error as Error).message}; or set XDG_CACHE_HOME to a folder of your own`);
    }
  };
  return {
    path,
    read(adapter) {
      const file = path(adapter);
      if (!fs.existsSync(file)) return undefined;
      return readChoices(fs.readFileSync(file, "utf8"), file);
    },
    write: (choices) => writeWhole(process, path(choices.adapter), writeChoices(choices)),
    remove(adapter) {
      const file = path(adapter);
      const isThere = fs.existsSync(file);
      fs.rmSync(file, { force: true });
      return isThere;
    },
  };
}
