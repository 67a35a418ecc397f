const ROOT = 0;
/** Of a folder's mode: what is in it is renamed by its owner alone. */
const STICKY = 0o1000;
const OTHERS = 0o002;
export const GROUP_AND_OTHERS = 0o022;
const octal = (mode: number): string => (mode & 0o7777).toString(8);

/**
 * Makes a folder in the user's own cache (XDG_CACHE_HOME or ~/.cache), where nobody else can write, and gives its path.
 * @throws Error where somebody else could write there
 */
export function cacheFolder(process: NodeJS.Process, name: string): string {
  const fs = process.getBuiltinModule("fs");
  const { isAbsolute, join } = process.getBuiltinModule("path");
  const { XDG_CACHE_HOME = "" } = process.env;
  // Windows has neither owners nor modes of this kind, and a user's folder is the user's.
  const own = process.getuid?.();

  const cache = isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : join(process.getBuiltinModule("os").homedir(), ".cache");
  const refuse = (folder: string, fault: string): never => {
    throw new Error(`${folder} ${fault}, so others may have put there what they like; remove it or change its mode`);
  };
  const makePrivate = (folder: string): string => {
    fs.mkdirSync(folder, { mode: 0o700, recursive: true });
    const stats = fs.lstatSync(folder);
    if (!stats.isDirectory()) refuse(folder, "is a link");
    if (own !== undefined && stats.uid !== own) refuse(folder, `belongs to user ${stats.uid}`);
    if (own !== undefined && stats.mode & GROUP_AND_OTHERS)
      refuse(folder, `may be written by others (mode ${octal(stats.mode)})`);
    return folder;
  };
  fs.mkdirSync(cache, { mode: 0o700, recursive: true });
  const { uid, mode } = fs.statSync(cache);
  if (own !== undefined && uid !== own && uid !== ROOT) refuse(cache, `belongs to user ${uid}`);
  if (own !== undefined && mode & OTHERS && !(mode & STICKY))
    refuse(cache, `may be written by everybody (mode ${octal(mode)})`);
  return makePrivate(join(makePrivate(join(cache, "dfine")), name));
}

/** Writes a file so that nobody ever finds a part of it, nor two processes each other's: aside, then in its place. */
export function writeWhole(process: NodeJS.Process, path: string, bytes: Uint8Array | string): void {
  const fs = process.getBuiltinModule("fs");
  const { basename, dirname, join } = process.getBuiltinModule("path");
  const partial = fs.mkdtempSync(join(dirname(path), "partial-"));
  try {
    fs.writeFileSync(join(partial, basename(path)), bytes, { mode: 0o700 });
    fs.renameSync(join(partial, basename(path)), path);
  } finally {
    fs.rmSync(partial, { recursive: true });
  }
}
