import { expect, test } from "vitest";
import { loadOptional, loadSharp, MissingPackageError } from "./optional.ts";

test("a package that is there is given", async () => {
  expect(await loadOptional("answers", "asking", async () => 42)).toBe(42);
  expect((await loadSharp()).format.png.id).toBe("png");
});

// That a whole installation without its optional packages says so is tested with one: scripts/install.heavy.test.ts.
test("one that is not is named with its purpose, the reason and the remedy", async () => {
  const name = "no-such-package";
  const failure = loadOptional(name, "telling fortunes", () => import(/* @vite-ignore */ name));
  await expect(failure).rejects.toThrow(MissingPackageError);
  await expect(failure).rejects.toThrow(
    /^telling fortunes needs the package no-such-package, which cannot be loaded \(.+\). Install it: npm install no-such-package; a bundler must leave it outside \(external\)$/,
  );
});
