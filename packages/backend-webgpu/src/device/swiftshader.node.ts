import { untar } from "./tar.ts";

/** The development dependency that carries Google's software Vulkan for Linux on x64. */
const PACKAGE = "@sparticuz/chromium";
const ARCHIVE = "bin/swiftshader.tar.br";
const LOADER = "libvulkan.so.1";
const DRIVER = "vk_swiftshader_icd.json";
/** glibc's flag, which Node does not name: a library stays loaded though it is no Node module. */
const RTLD_NODELETE = 0x1000;

/** Path of the archive that the package carries, or undefined where it is not installed. */
function findArchive(process: NodeJS.Process): string | undefined {
  const { createRequire } = process.getBuiltinModule("module");
  const { join, sep } = process.getBuiltinModule("path");
  for (const from of [import.meta.url, join(process.cwd(), "package.json")]) {
    try {
      const main = createRequire(from).resolve(PACKAGE);
      const inside = main.lastIndexOf(PACKAGE.replace("/", sep)) + PACKAGE.length;
      return join(main.slice(0, inside), ARCHIVE);
    } catch {
      // Not installed beside this file; perhaps it is where the program runs.
    }
  }
  return undefined;
}

/** Unpacks the archive once per content, for all processes of the user; gives the folder. */
function unpack(process: NodeJS.Process, archive: string): string {
  const fs = process.getBuiltinModule("fs");
  const os = process.getBuiltinModule("os");
  const { join } = process.getBuiltinModule("path");
  const packed = fs.readFileSync(archive);
  const digest = process.getBuiltinModule("crypto").createHash("sha256").update(packed).digest("hex").slice(0, 16);
  const folder = join(os.tmpdir(), `dfine-swiftshader-${os.userInfo().username}-${digest}`);
  if (fs.existsSync(join(folder, DRIVER))) return folder;
  const files = untar(process.getBuiltinModule("zlib").brotliDecompressSync(packed));
  const missing = [LOADER, DRIVER].filter((name) => !files.some((file) => file.name.endsWith(name)));
  if (missing.length > 0) throw new Error(`it holds no ${missing.join(" and no ")}`);
  // Whole or not at all: another process may be unpacking the same.
  const partial = fs.mkdtempSync(`${folder}-`);
  for (const { name, bytes } of files)
    fs.writeFileSync(join(partial, name.replace(/^.*\//, "")), bytes, { mode: 0o755 });
  try {
    fs.renameSync(partial, folder);
  } catch (error) {
    fs.rmSync(partial, { recursive: true });
    if (!fs.existsSync(join(folder, DRIVER))) throw error;
  }
  return folder;
}

/**
 * Makes SwiftShader the Vulkan driver of this process, which must not have loaded Vulkan yet. Gives its folder, or
 * undefined where it is not installed.
 * @throws Error when it is installed but cannot be unpacked
 */
export function useSwiftShader(process: NodeJS.Process): string | undefined {
  if (process.platform !== "linux" || process.arch !== "x64") return undefined;
  const archive = findArchive(process);
  if (archive === undefined) return undefined;
  let folder: string;
  try {
    folder = unpack(process, archive);
  } catch (error) {
    throw new Error(`SwiftShader of ${archive} could not be unpacked: ${(error as Error).message}`);
  }
  const { join } = process.getBuiltinModule("path");
  const { RTLD_NOW, RTLD_GLOBAL } = process.getBuiltinModule("os").constants.dlopen;
  process.env.VK_DRIVER_FILES = join(folder, DRIVER);
  try {
    process.dlopen({ exports: {} }, join(folder, LOADER), (RTLD_NOW ?? 0) | (RTLD_GLOBAL ?? 0) | RTLD_NODELETE);
  } catch (error) {
    // Expected: it is no Node module, but it stays loaded, and Dawn finds it by name.
    if (!String(error).includes("did not self-register"))
      throw new Error(`SwiftShader's ${LOADER} in ${folder} could not be loaded: ${String(error)}`);
  }
  return folder;
}
