import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { resolveInside } from "./paths.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-paths-"));
  await mkdir(join(folder, "images/sub"), { recursive: true });
  await writeFile(join(folder, "images/sub/a.png"), "");
  await writeFile(join(folder, "secret.png"), "");
  await symlink(join(folder, "secret.png"), join(folder, "images/link.png"));
  await symlink(folder, join(folder, "images/up"));
  await symlink(join(folder, "images/sub"), join(folder, "images/alias"));
  await symlink(join(folder, "images"), join(folder, "rootLink"));
});
afterAll(() => rm(folder, { recursive: true }));

test("names inside the folder are found, through links that stay inside too", async () => {
  for (const name of ["sub/a.png", "alias/a.png"]) {
    expect(await resolveInside(join(folder, "images"), name)).toMatch(/images\/sub\/a\.png$/);
    expect(await resolveInside(join(folder, "rootLink"), name)).toMatch(/images\/sub\/a\.png$/);
  }
});

test.each([
  "../secret.png",
  "sub/../../secret.png",
  "/etc/hostname",
  "..\\secret.png",
  "C:\\x.png",
  "\\\\host\\x.png",
  "a\0.png",
])("%j is refused", async (name) => {
  await expect(resolveInside(join(folder, "images"), name)).rejects.toThrow(/leaves the image folder.*path inside/);
});

test.each(["link.png", "up/secret.png"])("the link %s out of the folder is refused", async (name) => {
  await expect(resolveInside(join(folder, "images"), name)).rejects.toThrow(/is a link to .*secret\.png, outside/);
});

test("missing folders and files are named", async () => {
  await expect(resolveInside(join(folder, "nothing"), "a.png")).rejects.toThrow(/nothing: does not exist.*folder/);
  await expect(resolveInside(join(folder, "images"), "b.png")).rejects.toThrow(/b\.png: does not exist.*file_name/);
});
