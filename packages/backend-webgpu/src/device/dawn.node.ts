import { BackendError } from "@dfine/tensor";
import { useSwiftShader } from "../swiftshader/driver.node.ts";

/** What the npm package `webgpu` exports. */
interface Dawn {
  create(options: readonly string[]): GPU;
}

// Not written as a literal: a bundler for browsers must not look for the package.
const DAWN: string = "webgpu";

const INSTALL = `Install a driver of the graphics card (Linux: Vulkan; Windows: D3D12; macOS has Metal), or, to run in software on Linux x64, the npm package @sparticuz/chromium, whose SwiftShader is then used.`;

/**
 * In software, tests of every index cost twice the access itself. Kernels here keep inside their buffers by themselves:
 * conformance watches guard words, and computed indices are clamped. Zeros that workgroup memory starts with are written one by
 * one there, which takes most of a kernel's compilation; kernels here write before they read.
 */
const UNCHECKED = ["enable-dawn-features=disable_robustness,disable_workgroup_init"];

/** The process's one instance: Dawn aborts when an instance goes before its devices. */
let instance: GPU | undefined;

/**
 * SwiftShader, where Dawn sees no adapter of this machine's drivers and @sparticuz/chromium is installed.
 * @throws BackendError when it is not, with what was looked at and the remedy
 */
export async function softwareAdapter(process: NodeJS.Process, options: GPURequestAdapterOptions): Promise<GPUAdapter> {
  const dawn = await loadDawn();
  const tried = [mayHaveDriver(process) ? await visibleAdapters(dawn) : "no Vulkan driver is installed"];
  const folder = swiftShader(process);
  if (folder !== undefined) {
    instance = dawn.create(UNCHECKED);
    const adapter = await instance.requestAdapter(options);
    if (adapter) {
      process.stderr.write("webgpu: no other adapter here; using SwiftShader, a slow one in software.\n");
      return adapter;
    }
    tried.push(`SwiftShader in ${folder}: ${await visibleAdapters(dawn)}`);
  } else tried.push("@sparticuz/chromium is not installed");
  throw new BackendError(`webgpu: no adapter was found (${tried.join("; ")}). ${INSTALL}`);
}

/** The adapter of this machine's drivers, or that in use already. @throws BackendError when Dawn cannot be loaded */
export async function installedAdapter(
  process: NodeJS.Process,
  options: GPURequestAdapterOptions,
): Promise<GPUAdapter | undefined> {
  const again = await instance?.requestAdapter(options);
  if (again || !mayHaveDriver(process)) return again ?? undefined;
  instance = (await loadDawn()).create([]);
  return (await instance.requestAdapter(options)) ?? undefined;
}

async function loadDawn(): Promise<Dawn> {
  try {
    return (await import(/* @vite-ignore */ /* webpackIgnore: true */ DAWN)) as Dawn;
  } catch (error) {
    throw new BackendError(
      `webgpu: outside browsers this backend runs on the npm package "webgpu" (Dawn), which could not be loaded: ${String(error)}. Install it: npm install webgpu`,
    );
  }
}

function swiftShader(process: NodeJS.Process): string | undefined {
  try {
    return useSwiftShader(process);
  } catch (error) {
    throw new BackendError(
      `webgpu: no adapter of this machine can be used, and ${(error as Error).message}; or install a driver of the graphics card.`,
    );
  }
}

const DRIVER_FOLDERS = ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
const DRIVER_VARIABLES = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VK_ADD_DRIVER_FILES"];

/** False only where Vulkan is the system's way to a GPU and has no driver: asking Dawn would print a warning. */
function mayHaveDriver(process: NodeJS.Process): boolean {
  if (process.platform !== "linux") return true;
  const { existsSync, readdirSync } = process.getBuiltinModule("fs");
  const { join } = process.getBuiltinModule("path");
  const home = join(process.getBuiltinModule("os").homedir(), ".local/share/vulkan/icd.d");
  return (
    DRIVER_VARIABLES.some((name) => process.env[name]) ||
    [...DRIVER_FOLDERS, home].some((folder) => existsSync(folder) && readdirSync(folder).length > 0)
  );
}

/** Dawn lists what it sees when asked for an adapter of a name that none has. */
async function visibleAdapters(dawn: Dawn): Promise<string> {
  try {
    await dawn.create(["adapter=none of these"]).requestAdapter();
  } catch (error) {
    const listed = String(error).split("Available adapters:")[1];
    if (listed?.trim()) return `Dawn sees, but may not use:${listed.replaceAll(/\s+/g, " ")}`;
  }
  return "Dawn sees no adapter";
}
