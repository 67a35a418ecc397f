import { crc32, deflateSync } from "node:zlib";

/** Channels of PNG's colour types. */
const CHANNELS: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

export interface TinyPng {
  readonly width: number;
  readonly height: number;
  /** 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha. */
  readonly colorType: number;
  /** 1, 2, 4, 8 or 16. */
  readonly bitDepth: number;
  /** Samples row by row, [height, width, channels], each below 2^bitDepth. */
  readonly samples: readonly number[];
  /** RGB triples, for colour type 3. */
  readonly palette?: readonly number[];
}

/** A PNG written byte by byte, as a second source of images beside the library that reads them. */
export function tinyPng(image: TinyPng): Uint8Array {
  const { width, height, colorType, bitDepth, samples, palette } = image;
  const perRow = width * CHANNELS[colorType]!;
  const rows = Array.from({ length: height }, (_, y) => [
    0,
    ...packed(samples.slice(y * perRow, (y + 1) * perRow), bitDepth),
  ]);
  return pngFile({ width, height, colorType, bitDepth }, [
    ...(palette ? [chunk("PLTE", palette)] : []),
    chunk("IDAT", deflateSync(Uint8Array.from(rows.flat()))),
  ]);
}

/** A PNG that claims a size and brings next to no pixels. */
export function pngBomb(width: number, height: number): Uint8Array {
  return pngFile({ width, height, colorType: 2, bitDepth: 8 }, [chunk("IDAT", deflateSync(new Uint8Array(1000)))]);
}

type Header = Pick<TinyPng, "width" | "height" | "colorType" | "bitDepth">;

function pngFile({ width, height, colorType, bitDepth }: Header, chunks: readonly Uint8Array[]): Uint8Array {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([bitDepth, colorType], 8);
  const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
  return Buffer.concat([signature, chunk("IHDR", header), ...chunks, chunk("IEND", [])]);
}

function chunk(type: string, data: Iterable<number>): Uint8Array {
  const body = Buffer.concat([Buffer.from(type, "latin1"), Uint8Array.from(data)]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(body.length - 4, 0);
  out.set(body, 4);
  out.writeUInt32BE(crc32(body), body.length + 4);
  return out;
}

/** Samples of a row as bytes, the first one in the highest bits. */
function packed(samples: readonly number[], bitDepth: number): number[] {
  if (bitDepth === 16) return samples.flatMap((value) => [value >> 8, value & 255]);
  const perByte = 8 / bitDepth;
  return Array.from({ length: Math.ceil(samples.length / perByte) }, (_, i) =>
    samples
      .slice(i * perByte, (i + 1) * perByte)
      .reduce((byte, value, j) => byte | (value << (8 - bitDepth * (j + 1))), 0),
  );
}
