import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

test("the README's library example runs", async () => {
  const readme = await readFile("README.md", "utf8");
  const example = /```ts\n(.*?)```/s.exec(readme)?.[1];
  expect(example).toBeDefined();
  // Inside the repository, so that package names resolve to what was built.
  await mkdir(".cache", { recursive: true });
  const folder = await mkdtemp(resolve(".cache", "readme-"));
  try {
    await writeFile(join(folder, "example.ts"), example!);
    const { stdout } = await promisify(execFile)(process.execPath, ["example.ts"], { cwd: folder });
    expect(stdout).toMatch(/^step 1: loss \d+\.\d\d\nstep 2: loss \d+\.\d\d\n/);
  } finally {
    await rm(folder, { recursive: true });
  }
});
