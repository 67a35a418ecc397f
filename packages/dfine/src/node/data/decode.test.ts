import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { shared, testWithShared } from "../../../test/shared.ts";
import { ImageError } from "../../data/errors.ts";
import { resizeBilinear } from "../../data/resize.ts";
import { decodeImage } from "./decode.ts";

/** 3 x 2 pixels, all different. */
const pixels = Uint8Array.of(255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30, 200, 100, 50, 7, 8, 9);
const small = () => sharp(pixels, { raw: { width: 3, height: 2, channels: 3 } });
const plain = () => sharp({ create: { width: 40, height: 30, channels: 3, background: { r: 200, g: 30, b: 60 } } });

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-decode-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe("every kind of image becomes RGB", () => {
  test.each(["png", "webp", "gif"] as const)("%s keeps its pixels", async (format) => {
    const image = await decodeImage(await small().toFormat(format, { lossless: true }).toBuffer());
    expect(image).toEqual({ width: 3, height: 2, data: pixels });
  });

  test("palette and alpha: the colour alone counts", async () => {
    expect((await decodeImage(await small().png({ palette: true }).toBuffer())).data).toEqual(pixels);
    expect((await decodeImage(await small().ensureAlpha(0.2).png().toBuffer())).data).toEqual(pixels);
  });

  test("grey is replicated", async () => {
    for (const bytes of [await small().greyscale().png().toBuffer(), await small().greyscale().jpeg().toBuffer()]) {
      const { data } = await decodeImage(bytes);
      expect(data).toHaveLength(18);
      for (let i = 0; i < 18; i += 3) expect([data[i + 1], data[i + 2]]).toEqual([data[i], data[i]]);
    }
  });

  test("16 bits are cut to their upper 8, grey too", async () => {
    const values = Uint16Array.of(65535, 0, 255, 256, 512, 1023);
    const rgb = sharp(values, { raw: { width: 2, height: 1, channels: 3 } }).toColourspace("rgb16");
    expect([...(await decodeImage(await rgb.png().toBuffer())).data]).toEqual([255, 0, 0, 1, 2, 3]);
    const grey = sharp(values, { raw: { width: 6, height: 1, channels: 1 } }).toColourspace("grey16");
    const { data } = await decodeImage(await grey.png().toBuffer());
    expect([...data].filter((_, i) => i % 3 === 0)).toEqual([255, 0, 0, 1, 2, 3]);
  });

  test("CMYK gives about the colour that was stored", async () => {
    const { width, height, data } = await decodeImage(await plain().toColourspace("cmyk").jpeg().toBuffer());
    expect([width, height]).toEqual([40, 30]);
    [200, 30, 60].forEach((value, c) => {
      expect(Math.abs(data[c]! - value)).toBeLessThan(40);
    });
  });
});

describe("EXIF orientation", () => {
  const stored = [0, 1, 2, 3, 4, 5];
  const shown: Record<number, number[]> = {
    1: [0, 1, 2, 3, 4, 5],
    2: [2, 1, 0, 5, 4, 3],
    3: [5, 4, 3, 2, 1, 0],
    4: [3, 4, 5, 0, 1, 2],
    5: [0, 3, 1, 4, 2, 5],
    6: [3, 0, 4, 1, 5, 2],
    7: [5, 2, 4, 1, 3, 0],
    8: [2, 5, 1, 4, 0, 3],
  };
  const order = (data: Uint8Array) =>
    stored.map((_, i) => stored.find((p) => pixels[p * 3] === data[i * 3] && pixels[p * 3 + 1] === data[i * 3 + 1]));

  test.each(Object.entries(shown))("%s is applied", async (orientation, expected) => {
    const bytes = await small()
      .withMetadata({ orientation: Number(orientation) })
      .png()
      .toBuffer();
    const { data, width } = await decodeImage(bytes);
    expect(order(data)).toEqual(expected);
    expect(width).toBe(Number(orientation) >= 5 ? 2 : 3);
  });

  test("annotations made on the turned or on the stored image decide", async () => {
    const bytes = await small().withMetadata({ orientation: 6 }).png().toBuffer();
    expect(order((await decodeImage(bytes, { frame: { width: 2, height: 3 } })).data)).toEqual(shown[6]);
    expect(order((await decodeImage(bytes, { frame: { width: 3, height: 2 } })).data)).toEqual(shown[1]);
    await expect(decodeImage(bytes, { frame: { width: 6, height: 4 } })).rejects.toThrow(/is 2x3, .* for 6x4/);
  });
});

describe("what cannot be decoded is said with the path and a remedy", () => {
  const file = async (name: string, bytes: Uint8Array) => {
    await writeFile(join(folder, name), bytes);
    return join(folder, name);
  };
  test("a missing file", async () => {
    await expect(decodeImage(join(folder, "none.jpg"))).rejects.toThrow(/none\.jpg: does not exist\. Check/);
  });
  test("a folder", async () => {
    await expect(decodeImage(folder)).rejects.toThrow(/cannot be read/);
  });
  test("an empty file and a text file", async () => {
    await expect(decodeImage(await file("empty.jpg", new Uint8Array()))).rejects.toThrow(/empty\.jpg: is not an image/);
    await expect(decodeImage(await file("text.png", Buffer.from("hello")))).rejects.toThrow(
      /text\.png: is not an image/,
    );
  });
  test("a document", async () => {
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="5" height="5"/>');
    await expect(decodeImage(await file("a.svg", svg))).rejects.toThrow(/a\.svg: is svg, not a pixel image/);
  });
  test("a truncated JPEG and PNG", async () => {
    const jpeg = await sharp(Buffer.from(Array.from({ length: 30_000 }, (_, i) => (i * i) & 255)), {
      raw: { width: 100, height: 100, channels: 3 },
    });
    for (const bytes of [await jpeg.clone().jpeg().toBuffer(), await jpeg.clone().png().toBuffer()]) {
      const cut = bytes.subarray(0, Math.floor(bytes.length * 0.6));
      await expect(decodeImage(await file("cut", cut))).rejects.toThrow(/cut: cannot be decoded.*damaged or cut short/);
    }
  });
  test("more pixels than allowed, before decoding", async () => {
    await expect(decodeImage(await plain().png().toBuffer(), { maxPixels: 1199 })).rejects.toThrow(
      /40x30 pixels.*1199/,
    );
    await expect(decodeImage(await plain().png().toBuffer(), { maxPixels: 1200 })).resolves.toBeDefined();
  });
});

test("damaged bytes give an image or an ImageError, never anything else", async () => {
  const sources = [await small().png().toBuffer(), await plain().jpeg().toBuffer(), await small().webp().toBuffer()];
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...sources),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      fc.nat(20),
      async (source, changes, cut) => {
        const bytes = Uint8Array.from(source.subarray(0, source.length - cut));
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        try {
          const image = await decodeImage(bytes, { maxPixels: 1_000_000 });
          expect(image.data).toHaveLength(image.width * image.height * 3);
        } catch (error) {
          if (!(error instanceof ImageError)) throw error;
        }
      },
    ),
    { numRuns: 500 },
  );
});

testWithShared("JPEG decoding and resizing give the reference pack's network inputs", "reference/images", async () => {
  for (const name of [
    "000000000776_640",
    "000000000776_320",
    "000000000776_256",
    "000000000724_320",
    "000000000724_256",
  ]) {
    const [id, size] = name.split("_") as [string, string];
    const expected = await decodeImage(`${shared}reference/images/${name}.png`);
    const decoded = await decodeImage(`${shared}data/coco128/images/val2017/${id}.jpg`);
    const actual = resizeBilinear(decoded, Number(size), Number(size));
    let max = 0;
    let sum = 0;
    for (let i = 0; i < expected.data.length; i++) {
      const difference = Math.abs(expected.data[i]! - actual.data[i]!);
      max = Math.max(max, difference);
      sum += difference;
    }
    expect(max, `${name}: largest difference in levels`).toBeLessThanOrEqual(1);
    expect(sum / expected.data.length, `${name}: mean difference in levels`).toBeLessThan(0.01);
  }
});
