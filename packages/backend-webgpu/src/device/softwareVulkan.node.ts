import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { constants, tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { BackendError } from "@dfine/tensor";

/** The npm package that carries SwiftShader, a Vulkan driver that computes on the CPU. */
const CARRIER = "@sparticuz/chromium";

/** glibc's RTLD_NODELETE: the library stays although it is no Node module. */
const RTLD_NODELETE = 0x1000;

/** The archive of SwiftShader where its carrier is installed beside the program or beside this package. */
function findArchive(): string | undefined {
  for (const from of [join(process.cwd(), "package.json"), import.meta.url])
    try {
      const entry = createRequire(from).resolve(CARRIER);
      return join(entry.slice(0, entry.lastIndexOf("chromium") + "chromium".length), "bin", "swiftshader.tar.br");
    } catch {
      // Not installed there.
    }
  return undefined;
}

/** The plain files of a tar archive, by name. */
function* tarFiles(tar: Uint8Array): Generator<[name: string, data: Uint8Array]> {
  const text = (start: number, length: number) =>
    String.fromCharCode(...tar.subarray(start, start + length)).replace(/\0.*$/s, "");
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0; ) {
    const size = Number.parseInt(text(at + 124, 12), 8);
    if (!(size >= 0)) throw new RangeError(`no size in the header at byte ${at}`);
    const isFile = tar[at + 156] === 0 || tar[at + 156] === 0x30;
    if (isFile) yield [basename(text(at, 100)), tar.subarray(at + 512, at + 512 + size)];
    at += 512 + Math.ceil(size / 512) * 512;
  }
}

/** Unpacks the archive once per version of it; other processes see the folder whole or not at all. */
function unpack(archive: string): string {
  const { size, mtimeMs } = statSync(archive);
  const folder = join(tmpdir(), `dfine-swiftshader-${process.getuid?.() ?? "user"}-${size}-${Math.floor(mtimeMs)}`);
  if (statSync(folder, { throwIfNoEntry: false })) return folder;
  mkdirSync(dirname(folder), { recursive: true });
  const parts = mkdtempSync(`${folder}-`);
  for (const [name, data] of tarFiles(brotliDecompressSync(readFileSync(archive))))
    writeFileSync(join(parts, name), data, { mode: 0o755 });
  try {
    renameSync(parts, folder);
  } catch (error) {
    rmSync(parts, { recursive: true });
    if (!statSync(folder, { throwIfNoEntry: false })) throw error;
  }
  return folder;
}

/**
 * Makes SwiftShader the Vulkan driver of this process, before Dawn looks for one. Loading its `libvulkan.so.1` here
 * spares a start with LD_LIBRARY_PATH: whoever asks for the library by that name later gets the one already loaded.
 * @returns whether it is installed @throws BackendError when it is but cannot be unpacked or loaded
 */
export function useSoftwareVulkan(): boolean {
  const archive = process.platform === "linux" && process.arch === "x64" ? findArchive() : undefined;
  if (archive === undefined) return false;
  let library = archive;
  try {
    const folder = unpack(archive);
    library = join(folder, "libvulkan.so.1");
    process.env.VK_DRIVER_FILES = join(folder, "vk_swiftshader_icd.json");
    statSync(process.env.VK_DRIVER_FILES);
    process.dlopen({ exports: {} }, library, constants.dlopen.RTLD_NOW | constants.dlopen.RTLD_GLOBAL | RTLD_NODELETE);
  } catch (error) {
    // Node loads the library and then complains that it is no module of its own: that is all we want.
    const message = error instanceof Error ? error.message : String(error);
    if (!message.includes("did not self-register"))
      throw new BackendError(
        `webgpu: SwiftShader of ${CARRIER} cannot be used (${library}: ${message}); install ${CARRIER} again, or remove it`,
        { cause: error },
      );
  }
  return true;
}
