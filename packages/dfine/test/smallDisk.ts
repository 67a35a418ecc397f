import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "vitest";

/** Runs `body` with a folder on a disk of its own of so many bytes. Skips the test, with its reason, where none can be mounted. */
export async function withSmallDisk(
  context: TestContext,
  bytes: number,
  body: (folder: string) => unknown,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "dfine-disk-"));
  try {
    const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", folder], { encoding: "utf8" });
    if (mounted.status !== 0)
      context.skip(`not run: no small disk can be mounted here (${(mounted.stderr ?? "no mount command").trim()})`);
    try {
      await body(folder);
    } finally {
      spawnSync("umount", [folder]);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}
