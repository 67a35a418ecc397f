import { readSafetensors, type SafetensorsFile, type SafetensorsSource, writeSafetensors } from "@dfine/nn";
import pureCrc32 from "crc/calculators/crc32";
import { ModelFileError } from "./checkpoint/errors.ts";

type Crc32 = (bytes: Uint8Array, previous?: number) => number;

/** Node's own, which is many times faster, where there is one. */
const crc32: Crc32 = (globalThis.process as NodeJS.Process | undefined)?.getBuiltinModule?.("zlib")?.crc32 ?? pureCrc32;

const KEY = "dfine.crc32";
/** What stands for the checksum while it is computed: eight hexadecimal digits. */
const BLANK = new TextEncoder().encode("00000000");
/** The first field of the header, so that the digits lie at a fixed place: behind the length of the header and this. */
const BEFORE = new TextEncoder().encode(`{"__metadata__":{"${KEY}":"`);
const START = 8;
const DIGITS = START + BEFORE.length;

function checksum(bytes: Uint8Array): string {
  const before = crc32(BLANK, crc32(bytes.subarray(0, DIGITS)));
  const value = crc32(bytes.subarray(DIGITS + BLANK.length), before);
  return (value >>> 0).toString(16).padStart(BLANK.length, "0");
}

/** A safetensors file that holds its own checksum. @throws SafetensorsError for a shape or type that does not fit its data */
export function writeSealed(
  tensors: ReadonlyMap<string, SafetensorsSource>,
  metadata: ReadonlyMap<string, string>,
): Uint8Array {
  const bytes = writeSafetensors(tensors, new Map([[KEY, "0".repeat(BLANK.length)], ...metadata]));
  bytes.set(new TextEncoder().encode(checksum(bytes)), DIGITS);
  return bytes;
}

/**
 * Opens a safetensors file, and makes sure that its bytes are those that were written, where it holds a checksum.
 * @throws ModelFileError for a damaged file, SafetensorsError where it breaks the format
 */
export function readSealed(bytes: Uint8Array, file: string): SafetensorsFile {
  const isSealed = BEFORE.every((byte, i) => bytes[START + i] === byte);
  if (isSealed && new TextDecoder().decode(bytes.subarray(DIGITS, DIGITS + BLANK.length)) !== checksum(bytes))
    throw new ModelFileError(
      `${file}: is damaged: its bytes do not have the checksum that was written with them; copy it again, or take another file`,
    );
  return readSafetensors(bytes, file);
}
