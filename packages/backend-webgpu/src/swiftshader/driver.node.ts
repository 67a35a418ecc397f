import { cacheFiles } from "./cache.node.ts";
import { type TarFile, untar } from "./tar.ts";

/** The development dependency that carries Google's software Vulkan for Linux on x64. */
const PACKAGE = "@sparticuz/chromium";
const ARCHIVE = "bin/swiftshader.tar.br";
const LOADER = "libvulkan.so.1";
const DRIVER = "vk_swiftshader_icd.json";
const NEEDED = [LOADER, DRIVER, "libvk_swiftshader.so"];
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

/** The archive's files that are needed, and a name for them that goes by their content. */
function unpack(process: NodeJS.Process, archive: string): { name: string; files: readonly TarFile[] } {
  const packed = process.getBuiltinModule("fs").readFileSync(archive);
  const digest = process.getBuiltinModule("crypto").createHash("sha256").update(packed).digest("hex");
  const files = untar(process.getBuiltinModule("zlib").brotliDecompressSync(packed)).filter(({ name }) =>
    NEEDED.includes(name),
  );
  const missing = NEEDED.filter((name) => !files.some((file) => file.name === name));
  if (missing.length > 0) throw new Error(`it holds no ${missing.join(" and no ")}`);
  return { name: `swiftshader-${digest.slice(0, 16)}`, files };
}

/**
 * Makes SwiftShader the Vulkan driver of this process, which must not have loaded Vulkan yet. Gives its folder, or
 * undefined where it is not installed.
 * @throws Error when it is installed but cannot be unpacked or loaded, with the remedy
 */
export function useSwiftShader(process: NodeJS.Process): string | undefined {
  if (process.platform !== "linux" || process.arch !== "x64") return undefined;
  const archive = findArchive(process);
  if (archive === undefined) return undefined;
  const { name, files } = attempt(() => unpack(process, archive), {
    fault: `SwiftShader of ${archive} could not be unpacked`,
    remedy: "install that package again",
  });
  const folder = attempt(() => cacheFiles(process, name, files), {
    fault: "SwiftShader's files could not be put into your cache folder",
    remedy: "or set XDG_CACHE_HOME to a folder of your own",
  });
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

function attempt<T>(body: () => T, { fault, remedy }: { fault: string; remedy: string }): T {
  try {
    return body();
  } catch (error) {
    throw new Error(`${fault}: ${(error as Error).message}; ${remedy}`);
  }
}
