import fc from "fast-check";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { ImageError } from "../src/data/errors.ts";
import { decodeImage } from "../src/node/data/decode.ts";
import { mutate, mutations } from "./mutations.ts";
import { tinyPng } from "./tinyPng.ts";

const RUNS = 21_000;
/** Decoded at the same time: enough to keep the library's threads busy. */
const GROUP = 24;
/** A few hundred bytes may not keep a decoder busy for longer; the machine may have other work. */
const MILLISECONDS = 5000;
/** A changed header may claim any size up to this. */
const MAX_PIXELS = 1_000_000;

const noise = (channels: 3 | 4) =>
  sharp(
    Uint8Array.from({ length: 6 * 5 * channels }, (_, i) => (i * 97 + (i >> 3) * 31) & 255),
    {
      raw: { width: 6, height: 5, channels },
    },
  );

const FORMATS: Record<string, () => Promise<Uint8Array[]>> = {
  JPEG: async () => [
    await noise(3).jpeg({ quality: 60 }).toBuffer(),
    await noise(3).withMetadata({ orientation: 6 }).jpeg({ progressive: true, quality: 50 }).toBuffer(),
    await noise(3).toColourspace("cmyk").jpeg({ quality: 50 }).toBuffer(),
  ],
  PNG: async () => [
    tinyPng({
      width: 4,
      height: 3,
      colorType: 6,
      bitDepth: 16,
      samples: Array.from({ length: 48 }, (_, i) => i * 1111),
    }),
    tinyPng({
      width: 9,
      height: 2,
      colorType: 3,
      bitDepth: 2,
      samples: Array(18).fill(2),
      palette: Array(12).fill(99),
    }),
    await noise(3).png({ progressive: true }).toBuffer(),
  ],
  WebP: async () => [
    await noise(4).webp({ quality: 50 }).toBuffer(),
    await noise(3).webp({ lossless: true }).toBuffer(),
    await sharp([await noise(3).png().toBuffer(), await noise(3).png().toBuffer()], { join: { animated: true } })
      .webp({ quality: 30 })
      .toBuffer(),
  ],
};

describe.each(Object.entries(FORMATS))("%s", (_, make) => {
  test("with changed bytes gives an image or an ImageError, in bounded time and memory", async () => {
    const sources = await make();
    for (const bytes of sources) await expect(decodeImage(bytes)).resolves.toBeDefined();
    const [memory, reached] = [process.memoryUsage().rss, { memory: 0 }];
    let [decoded, refused, longest] = [0, 0, 0];

    const attempt = async (bytes: Uint8Array): Promise<void> => {
      const start = performance.now();
      try {
        const { width, height, data } = await decodeImage(bytes, { maxPixels: MAX_PIXELS });
        expect(data).toHaveLength(width * height * 3);
        decoded++;
      } catch (error) {
        if (!(error instanceof ImageError)) throw error;
        expect(error.message.startsWith("image in memory: ")).toBe(true);
        expect(error.message.length).toBeLessThan(1000);
        refused++;
      }
      longest = Math.max(longest, performance.now() - start);
    };
    const one = fc.tuple(fc.constantFrom(...sources), mutations);
    const group = fc.array(one, { minLength: GROUP, maxLength: GROUP });
    await fc.assert(
      fc.asyncProperty(group, async (cases) => {
        await Promise.all(cases.map(([source, changes]) => attempt(changes.reduce(mutate, source))));
        reached.memory = Math.max(reached.memory, process.memoryUsage().rss);
      }),
      // Shrinking would decode each group again and again.
      { numRuns: Math.ceil(RUNS / GROUP), endOnFailure: true },
    );
    expect(decoded + refused).toBeGreaterThanOrEqual(RUNS);
    expect(Math.min(decoded, refused)).toBeGreaterThan(100);
    expect(longest).toBeLessThan(MILLISECONDS);
    expect(reached.memory - memory).toBeLessThan(300e6);
  });
});
