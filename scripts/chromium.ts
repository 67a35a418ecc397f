import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import puppeteer, { type Browser } from "puppeteer-core";

const root = join(import.meta.dirname, "..");
const { version } = JSON.parse(readFileSync(join(root, "node_modules/@sparticuz/chromium/package.json"), "utf8"));

const flags = [
  "--no-sandbox",
  "--disable-dev-shm-usage",
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-features=Vulkan",
];

const fontSettings = (folder: string) => `<?xml version="1.0"?>
<fontconfig><dir>${folder}</dir><cachedir>${join(folder, "cache")}</cachedir></fontconfig>
`;

// Taken for a cloud function, the package also unpacks the system libraries that bare machines lack.
const asCloudFunction = { AWS_EXECUTION_ENV: "AWS_Lambda_nodejs22.x" };
const unpackProgram = `import chromium from "@sparticuz/chromium"; await chromium.executablePath();`;

/** Folder of the unpacked browser, 206 MB; unpacked once, in a second or two, and seen whole or not at all. */
function unpacked(): string {
  const folder = join(root, ".cache", `chromium-${version}`);
  if (existsSync(folder)) return folder;
  mkdirSync(join(root, ".cache"), { recursive: true });
  const parts = mkdtempSync(`${folder}-`);
  execFileSync(process.execPath, ["--input-type=module", "--eval", unpackProgram], {
    cwd: root,
    env: { ...process.env, ...asCloudFunction, TMPDIR: parts },
  });
  // The package's own lists folders of cloud functions. Without any font the browser ends itself.
  writeFileSync(join(parts, "fonts", "fonts.conf"), fontSettings(join(folder, "fonts")));
  try {
    renameSync(parts, folder);
  } catch (error) {
    rmSync(parts, { recursive: true });
    if (!existsSync(folder)) throw error;
  }
  return folder;
}

/**
 * Starts a headless Chromium with WebGPU on SwiftShader: on Linux (x64) the one in `@sparticuz/chromium`, elsewhere the
 * Chrome that is installed.
 */
export async function launchChromium(): Promise<Browser> {
  if (process.platform !== "linux" || process.arch !== "x64")
    return await puppeteer.launch({ channel: "chrome", args: flags });
  const folder = unpacked();
  return await puppeteer.launch({
    executablePath: join(folder, "chromium"),
    headless: "shell",

    args: flags,
    env: { ...process.env, LD_LIBRARY_PATH: join(folder, "al2023", "lib"), FONTCONFIG_PATH: join(folder, "fonts") },
  });
}
