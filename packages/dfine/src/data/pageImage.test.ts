import { expect, test } from "vitest";
import { ImageError } from "./errors.ts";
import { toRgbImage } from "./pageImage.ts";

// What it does in a browser is tested in one: scripts/browser.heavy.test.ts.
test("Node, which has no canvas, is told what to use instead", async () => {
  const failure = toRgbImage(new File([], "cat.png"));
  await expect(failure).rejects.toThrow(ImageError);
  await expect(failure).rejects.toThrow(
    "cat.png: cannot be read where there is no OffscreenCanvas. In Node use decodeImage",
  );
});
