import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BackendError } from "@dfine/tensor";
import { afterAll, describe, expect, it } from "vitest";
import { installedAdapter, softwareAdapter } from "./dawn.node.ts";

const folder = mkdtempSync(join(tmpdir(), "dfine-no-adapter-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** A process on a Linux machine without drivers, where `chromium` is the path of @sparticuz/chromium, if any. */
function machine(chromium: string | undefined): NodeJS.Process {
  const createRequire = () => ({
    resolve: (): string => {
      if (chromium === undefined) throw new Error("Cannot find module");
      return join(chromium, "build", "index.js");
    },
  });
  const fs = { ...process.getBuiltinModule("fs"), existsSync: () => false };
  return {
    ...{ platform: "linux", arch: "x64", env: {}, cwd: () => folder },
    getBuiltinModule: (name: string) =>
      ({ fs, module: { createRequire } })[name] ?? process.getBuiltinModule(name as "os"),
  } as unknown as NodeJS.Process;
}

const messageOf = async (on: NodeJS.Process): Promise<string> => {
  const error = await softwareAdapter(on, {}).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(BackendError);
  return (error as BackendError).message;
};

describe("without an adapter", () => {
  it("is said what was looked at, and how to install a driver", async () => {
    const message = await messageOf(machine(undefined));
    expect(message).toContain(
      "no adapter was found (no Vulkan driver is installed; @sparticuz/chromium is not installed)",
    );
    expect(message).toMatch(/Install a driver of the graphics card \(Linux: Vulkan; Windows: D3D12; macOS has Metal\)/);
  });

  it("nothing is loaded where only an installed one will do", async () => {
    expect(await installedAdapter(machine(undefined), {})).toBeUndefined();
  });

  it("a software driver that cannot be unpacked is a failure, not a reason to go without", async () => {
    const chromium = join(folder, "node_modules", "@sparticuz", "chromium");
    mkdirSync(join(chromium, "bin"), { recursive: true });
    const archive = join(chromium, "bin", "swiftshader.tar.br");
    writeFileSync(archive, "no archive");
    const message = await messageOf(machine(chromium));
    expect(message).toMatch(/no adapter of this machine can be used, and SwiftShader of .* could not be unpacked: /);
    expect(message).toContain(archive);
    expect(message).toMatch(/install that package again; or install a driver/);
  });
});
