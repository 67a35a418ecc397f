import type { Stats } from "node:fs";
import type { TarFile } from "./tar.ts";

const ROOT = 0;
/** Of a folder's mode: what is in it is renamed by its owner alone. */
const STICKY = 0o1000;
const OTHERS = 0o002;
const GROUP_AND_OTHERS = 0o022;
const octal = (mode: number): string => (mode & 0o7777).toString(8);

/**
 * Puts files into a folder of the user's own cache (XDG_CACHE_HOME or ~/.cache), where nobody else can write, and gives its
 * path. What is there already is kept only if it is the user's and the same byte for byte. Several processes may do this at once.
 * @throws Error where somebody else could write there
 */
export function cacheFiles(process: NodeJS.Process, name: string, files: readonly TarFile[]): string {
  const fs = process.getBuiltinModule("fs");
  const { isAbsolute, join } = process.getBuiltinModule("path");
  const { XDG_CACHE_HOME = "" } = process.env;
  const own = process.getuid?.();

  const cache = isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : join(process.getBuiltinModule("os").homedir(), ".cache");
  const refuse = (folder: string, fault: string): never => {
    throw new Error(`${folder} ${fault}, so others may have put there what they like; remove it or change its mode`);
  };
  const makePrivate = (folder: string): string => {
    fs.mkdirSync(folder, { mode: 0o700, recursive: true });
    const stats = fs.lstatSync(folder);
    if (!stats.isDirectory()) refuse(folder, "is a link");
    if (stats.uid !== own) refuse(folder, `belongs to user ${stats.uid}`);
    if (stats.mode & GROUP_AND_OTHERS) refuse(folder, `may be written by others (mode ${octal(stats.mode)})`);
    return folder;
  };
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

  fs.mkdirSync(cache, { mode: 0o700, recursive: true });
  const { uid, mode } = fs.statSync(cache);
  if (uid !== own && uid !== ROOT) refuse(cache, `belongs to user ${uid}`);
  if (mode & OTHERS && !(mode & STICKY)) refuse(cache, `may be written by everybody (mode ${octal(mode)})`);
  const folder = makePrivate(join(makePrivate(join(cache, "dfine")), name));
  for (const file of files) {
    const path = join(folder, file.name);
    if (isSound(path, file.bytes)) continue;
    // Written aside: another process may be loading the file, or writing the same one.
    const partial = fs.mkdtempSync(join(folder, "partial-"));
    try {
      fs.writeFileSync(join(partial, file.name), file.bytes, { mode: 0o700 });
      fs.renameSync(join(partial, file.name), path);
    } finally {
      fs.rmSync(partial, { recursive: true });
    }
  }
  return folder;
}
