import { BackendError } from "@dfine/tensor";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { openHardware } from "./openDevice.ts";

const info = { vendor: "", architecture: "", device: "", description: "", isFallbackAdapter: false };

/** A page whose browser finds an adapter that says this of itself, or none. */
function page(found: Partial<typeof info> | null): { requestDevice: ReturnType<typeof vi.fn> } {
  const requestDevice = vi.fn(() => Promise.reject(new Error("no more devices")));
  const adapter = found && { info: { ...info, ...found }, features: new Set(), limits: {}, requestDevice };
  vi.stubGlobal("navigator", { gpu: { requestAdapter: async () => adapter } });
  return { requestDevice };
}

describe("a device on hardware", () => {
  beforeEach(() => vi.unstubAllGlobals());
  afterEach(() => vi.unstubAllGlobals());

  it("is none where there is no adapter", async () => {
    page(null);
    expect(await openHardware()).toBeUndefined();
  });

  it.each([
    { description: "SwiftShader Device (LLVM 10.0.0)" },
    { description: "llvmpipe (LLVM 15.0.6, 256 bits)" },
    { architecture: "swiftshader" },
    { description: "Microsoft Basic Render Driver" },
    { description: "Some GPU", isFallbackAdapter: true },
  ])("is not opened on software: %j", async (found) => {
    const { requestDevice } = page(found);
    await expect(openHardware()).rejects.toThrow(/the only adapter here, .*, computes in software/);
    expect(requestDevice).not.toHaveBeenCalled();
  });

  it("is asked of a GPU; one that gives none is an error", async () => {
    page({ description: "NVIDIA H100" });
    await expect(openHardware()).rejects.toThrow(
      new BackendError("webgpu: NVIDIA H100 gave no device: Error: no more devices"),
    );
  });
});
