import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { shared, testWithShared } from "../../../../../parity/referencePack.ts";
import { says, thrown } from "../../../test/badInput.ts";
import { pngBomb, tinyPng } from "../../../test/tinyPng.ts";
import { cmykTiff } from "../../../test/tinyTiff.ts";
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

  test("every kind of PNG gives its pixels: [image-gray] [image-alpha] [image-16-bit] [image-palette]", async () => {
    const kinds = [
      ...[1, 2, 4, 8, 16].map((bitDepth) => ({ colorType: 0, bitDepth, channels: 1 })),
      ...[8, 16].flatMap((bitDepth) => [
        { colorType: 2, bitDepth, channels: 3 },
        { colorType: 4, bitDepth, channels: 2 },
        { colorType: 6, bitDepth, channels: 4 },
      ]),
      ...[1, 2, 4, 8].map((bitDepth) => ({ colorType: 3, bitDepth, channels: 1 })),
    ];
    for (const { colorType, bitDepth, channels } of kinds) {
      const [width, height] = [5, 3];
      const samples = Array.from({ length: width * height * channels }, (_, i) => (i * 7919 + 3) % 2 ** bitDepth);
      const palette = Array.from({ length: 3 * 2 ** Math.min(bitDepth, 8) }, (_, i) => (i * 101 + 7) % 256);
      const png = tinyPng({ width, height, colorType, bitDepth, samples, ...(colorType === 3 ? { palette } : {}) });
      const level = (value: number) => (bitDepth === 16 ? value >> 8 : (value * 255) / (2 ** bitDepth - 1));
      const expected = Array.from({ length: width * height }, (_, i) => {
        const pixel = samples.slice(i * channels, (i + 1) * channels);
        if (colorType === 3) return palette.slice(3 * pixel[0]!, 3 * pixel[0]! + 3);
        return channels < 3 ? Array(3).fill(level(pixel[0]!)) : pixel.slice(0, 3).map(level);
      });
      const { data } = await decodeImage(png);
      expect([...data], `colour type ${colorType}, ${bitDepth} bits`).toEqual(expected.flat());
    }
  });

  test("CMYK gives exactly the mixed inks, from TIFF and JPEG: [image-cmyk]", async () => {
    const inks = Uint8Array.from({ length: 6 * 4 }, (_, i) => (i * 89 + 13) % 256);
    const mixed = (values: ArrayLike<number>) =>
      Array.from({ length: (values.length / 4) * 3 }, (_, i) => {
        const [ink, black] = [values[4 * Math.floor(i / 3) + (i % 3)]!, values[4 * Math.floor(i / 3) + 3]!];
        return 255 - black - Math.round((ink * (255 - black)) / 255);
      });
    const tiff = await decodeImage(cmykTiff({ width: 3, height: 2, inks }));
    expect([tiff.width, tiff.height, ...tiff.data]).toEqual([3, 2, ...mixed(inks)]);
    const jpeg = await plain().toColourspace("cmyk").jpeg({ quality: 100 }).toBuffer();
    const stored = await sharp(jpeg).pipelineColourspace("cmyk").toColourspace("cmyk").raw().toBuffer();
    expect(stored).toHaveLength(40 * 30 * 4);
    expect([...(await decodeImage(jpeg)).data]).toEqual(mixed(stored));
  });

  test("of an animation the first frame counts: [image-animated]", async () => {
    const second = sharp(Uint8Array.from(pixels).reverse(), { raw: { width: 3, height: 2, channels: 3 } });
    const frames = [await small().png().toBuffer(), await second.png().toBuffer()];
    for (const format of ["gif", "webp"] as const) {
      const bytes = await sharp(frames, { join: { animated: true } })
        .toFormat(format, { lossless: true })
        .toBuffer();
      expect((await sharp(bytes).metadata()).pages, format).toBe(2);
      expect(await decodeImage(bytes), format).toEqual({ width: 3, height: 2, data: pixels });
    }
  });

  test("the content counts, not the name: [image-wrong-extension]", async () => {
    await writeFile(join(folder, "really-png.jpg"), await small().png().toBuffer());
    expect((await decodeImage(join(folder, "really-png.jpg"))).data).toEqual(pixels);
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

  test.each(Object.entries(shown))("%s is applied, in JPEG too: [image-exif]", async (orientation, expected) => {
    const bytes = await small()
      .withMetadata({ orientation: Number(orientation) })
      .png()
      .toBuffer();
    const { data, width } = await decodeImage(bytes);
    expect(order(data)).toEqual(expected);
    expect(width).toBe(Number(orientation) >= 5 ? 2 : 3);

    // Blocks of 16 keep their colours in JPEG, near enough to be told apart.
    const jpeg = await small()
      .resize(48, 32, { kernel: "nearest" })
      .withMetadata({ orientation: Number(orientation) })
      .jpeg({ quality: 100, chromaSubsampling: "4:4:4" })
      .toBuffer();
    const turned = await decodeImage(jpeg);
    const columns = turned.width / 16;
    expect([turned.width, turned.height]).toEqual(columns === 3 ? [48, 32] : [32, 48]);
    const blocks = expected.map((_, i) => {
      const at = 3 * ((16 * Math.floor(i / columns) + 8) * turned.width + 16 * (i % columns) + 8);
      const distance = (p: number) =>
        [0, 1, 2].reduce((sum, c) => sum + Math.abs(turned.data[at + c]! - pixels[3 * p + c]!), 0);
      return stored.reduce((best, p) => (distance(p) < distance(best) ? p : best));
    });
    expect(blocks).toEqual(expected);
  });

  test("annotations made on the turned or on the stored image decide", async () => {
    const bytes = await small().withMetadata({ orientation: 6 }).png().toBuffer();
    expect(order((await decodeImage(bytes, { frame: { width: 2, height: 3 } })).data)).toEqual(shown[6]);
    expect(order((await decodeImage(bytes, { frame: { width: 3, height: 2 } })).data)).toEqual(shown[1]);
    says("image-other-size", await thrown(() => decodeImage(bytes, { frame: { width: 6, height: 4 } })));
  });
});

describe("what cannot be decoded is said with the path and a remedy", () => {
  const file = async (name: string, bytes: Uint8Array) => {
    await writeFile(join(folder, name), bytes);
    return join(folder, name);
  };
  const failure = (path: string) => thrown(() => decodeImage(path));
  test("a missing file, a folder", async () => {
    says("image-missing", await failure(join(folder, "none.jpg")));
    says("image-folder", await failure(folder));
  });
  test("an empty file and a text file", async () => {
    says("image-empty", await failure(await file("empty.jpg", new Uint8Array())));
    says("image-text", await failure(await file("text.png", Buffer.from("hello"))));
  });
  test("a document", async () => {
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="5" height="5"/>');
    says("image-svg", await failure(await file("a.svg", svg)));
  });
  test.each(["jpeg", "png", "webp"] as const)("a truncated %s", async (format) => {
    const noise = Uint8Array.from({ length: 30_000 }, (_, i) => (i * i) & 255);
    const bytes = await sharp(noise, { raw: { width: 100, height: 100, channels: 3 } })
      .toFormat(format)
      .toBuffer();
    for (const share of [0.3, 0.6, 0.9]) {
      const cut = bytes.subarray(0, Math.floor(bytes.length * share));
      // WebP's header gives the length of the file, so what is missing is missed at once.
      const row = format === "webp" ? "image-truncated-webp" : "image-truncated";
      says(row, await failure(await file(`cut.${format}`, cut)));
    }
  });
  test("a file cut within its first bytes", async () => {
    says("image-truncated-start", await failure(await file("start.png", Uint8Array.of(0x89, 0x50, 0x4e, 0x47))));
  });
  test("whole files of kinds that are not decoded: their kind, and what to do", async () => {
    // HEIF with HEVC inside, whose header is understood but not its pixels, and one whose header is all there is.
    const brands = Buffer.from("\0\0\0\x18ftypheic\0\0\0\0mif1heic", "latin1");
    says("image-heic", await failure(await file("photo.jpg", brands)));
    says("image-bmp", await failure(await file("a.bmp", Buffer.from("BM\x36\0\0\0\0\0\0\0\x36\0", "latin1"))));
    says("image-web-page", await failure(await file("page.jpg", Buffer.from("<!DOCTYPE html><p>Not found"))));
    says(
      "image-lfs-pointer",
      await failure(await file("lfs.jpg", Buffer.from("version https://git-lfs.github.com/1"))),
    );
    // A TIFF to every reader, but by its name the preview in a camera's raw image.
    const tiff = await plain().tiff().toBuffer();
    says("image-raw", await failure(await file("DSC_1.NEF", tiff)));
    await expect(decodeImage(await file("DSC_1.tif", tiff))).resolves.toMatchObject({ width: 40 });
  });
  testWithShared("an iPhone's photo", "cases/heic-said-damaged", async () => {
    says("image-heic", await failure(`${shared}cases/heic-said-damaged/photo.heic`));
  });
  test("a coding that is not supported is no damage", async () => {
    const jpeg = await plain().jpeg().toBuffer();
    const start = jpeg.indexOf(Buffer.of(0xff, 0xc0));
    jpeg[start + 4] = 12;
    says("image-coding", await failure(await file("twelve-bits.jpg", jpeg)));
  });
  test("more pixels than allowed, before decoding", async () => {
    const bytes = await plain().png().toBuffer();
    says("image-too-large", await thrown(() => decodeImage(bytes, { maxPixels: 1199 })));
    await expect(decodeImage(bytes, { maxPixels: 1200 })).resolves.toBeDefined();
  });
  test("a few bytes that claim 30000 x 30000 pixels, or just under the limit, take no memory", async () => {
    const before = process.memoryUsage().rss;
    says("image-bomb", await failure(await file("bomb.png", pngBomb(30_000, 30_000))));
    says("image-truncated", await failure(await file("cut.png", pngBomb(9999, 9999))));
    expect(process.memoryUsage().rss - before).toBeLessThan(64e6);
  });
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
