import type { Stats } from "node:fs";
import { cacheFolder, GROUP_AND_OTHERS, writeWhole } from "../device/cacheFolder.node.ts";
import type { TarFile } from "./tar.ts";

/**
 * Puts files into a folder of the user's own cache (XDG_CACHE_HOME or ~/.cache), where nobody else can write, and gives its
 * path. What is there already is kept only if it is the user's and the same byte for byte. Several processes may do this at once.
 * @throws Error where somebody else could write there
 */
export function cacheFiles(process: NodeJS.Process, name: string, files: readonly TarFile[]): string {
  const fs = process.getBuiltinModule("fs");
  const { join } = process.getBuiltinModule("path");
  const own = process.getuid?.();

  const isSound = (path: string, bytes: Uint8Array): boolean => {
    const stats: Stats | undefined = fs.lstatSync(path, { throwIfNoEntry: false });
    return (
      stats?.isFile() === true &&
      stats.uid === own &&
      !(stats.mode & GROUP_AND_OTHERS) &&
      stats.size === bytes.length &&
      fs.readFileSync(path).equals(bytes)
    );
  };

  const folder = cacheFolder(process, name);
  for (const file of files) {
    const path = join(folder, file.name);
    if (!isSound(path, file.bytes)) writeWhole(process, path, file.bytes);
  }
  return folder;
}
