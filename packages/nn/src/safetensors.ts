import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from "./float16.ts";
import { type Header, type HeaderEntry, parseHeader, SafetensorsError } from "./safetensorsHeader.ts";

export { SafetensorsError };

/** Storage of each dtype as a typed array; F16 and BF16 as bit patterns, BOOL as bytes 0 and 1. */
const STORAGE = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const;

/** Element types that are read and written. */
export type SafetensorsDtype = keyof typeof STORAGE;
/** Elements as an array holds them. */
export type SafetensorsData = (typeof STORAGE)[SafetensorsDtype]["prototype"];

/** A tensor of an opened file. `bytes` is a view of the file, little-endian, row-major. */
export interface SafetensorsEntry {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
  /** Name of the file, for messages. */
  readonly file: string;
}

/** An opened file. */
export interface SafetensorsFile {
  readonly metadata: ReadonlyMap<string, string>;
  /** In the header's order. */
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
}

/** A tensor to be written. F16 and BF16 take Float32Array (rounded to nearest even), I64 also Int32Array. */
export interface SafetensorsSource {
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly data: SafetensorsData;
}

/** Size of the length field in front of the header, in bytes. */
const PREFIX = 8;
/** The format's own limit. */
const MAX_HEADER = 100_000_000;
const AGAIN = "it is damaged or of another format; fetch or export it again";

function isDtype(dtype: string): dtype is SafetensorsDtype {
  return Object.hasOwn(STORAGE, dtype);
}

function elementCount(shape: readonly number[]): number {
  return shape.includes(0) ? 0 : shape.reduce((product, size) => product * size, 1);
}

function readHeader(bytes: Uint8Array, file: string): { header: Header; dataStart: number } {
  if (bytes.length < PREFIX)
    throw new SafetensorsError(`${file}: ${bytes.length} bytes are too few for safetensors; ${AGAIN}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getBigUint64(0, true);
  if (length > MAX_HEADER)
    throw new SafetensorsError(`${file}: a header of ${length} bytes exceeds the limit of ${MAX_HEADER}; ${AGAIN}`);
  const dataStart = PREFIX + Number(length);
  if (dataStart > bytes.length)
    throw new SafetensorsError(
      `${file}: the header should end at byte ${dataStart}, but the file has ${bytes.length}; ${AGAIN}`,
    );
  if (bytes[PREFIX] !== 0x7b) throw new SafetensorsError(`${file}: the header does not begin with a brace; ${AGAIN}`);
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(PREFIX, dataStart));
    return { header: parseHeader(text), dataStart };
  } catch (error) {
    const problem = error instanceof SafetensorsError ? error.message : "the header is not UTF-8";
    throw new SafetensorsError(`${file}: ${problem}; ${AGAIN}`);
  }
}

/** Checks that dtype, shape and byte range agree. */
function checkEntry(name: string, entry: HeaderEntry, file: string): SafetensorsDtype {
  const { dtype, shape, begin, end } = entry;
  const subject = `${file}: tensor ${JSON.stringify(name)}`;
  if (!isDtype(dtype))
    throw new SafetensorsError(
      `${subject} has dtype ${JSON.stringify(dtype)}; convert it to one of ${Object.keys(STORAGE).join(", ")}`,
    );
  const needed = elementCount(shape) * STORAGE[dtype].BYTES_PER_ELEMENT;
  if (end - begin !== needed)
    throw new SafetensorsError(
      `${subject}, ${dtype} [${shape}], needs ${needed} bytes, but has ${begin}…${end}; ${AGAIN}`,
    );
  return dtype;
}

/** Checks that the byte ranges follow each other without holes or overlaps up to the end of the file. */
function checkCoverage(header: Header, dataLength: number, file: string): void {
  const ranges = [...header.entries].map(([name, { begin, end }]) => ({ name, begin, end }));
  ranges.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  for (const { name, begin, end } of ranges) {
    if (begin !== covered)
      throw new SafetensorsError(
        `${file}: tensor ${JSON.stringify(name)} begins at byte ${begin} of the data, ` +
          `${begin < covered ? "inside another tensor" : "after a hole"} (expected ${covered}); ${AGAIN}`,
      );
    covered = end;
  }
  if (covered !== dataLength)
    throw new SafetensorsError(`${file}: tensors end at byte ${covered} of ${dataLength} bytes of data; ${AGAIN}`);
}

/**
 * Opens a safetensors file held in memory. Nothing is copied: entries are views until they are decoded.
 * @param file name used in messages
 * @throws SafetensorsError where the file breaks the format in any way
 */
export function readSafetensors(source: Uint8Array, file = "safetensors data"): SafetensorsFile {
  // Node's Buffer, a subclass, overrides slice to share memory; a plain view copies.
  const bytes = new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  const { header, dataStart } = readHeader(bytes, file);
  const entries = new Map<string, SafetensorsEntry>();
  for (const [name, entry] of header.entries) {
    const dtype = checkEntry(name, entry, file);
    const own = bytes.subarray(dataStart + entry.begin, dataStart + entry.end);
    entries.set(name, { name, dtype, shape: entry.shape, bytes: own, file });
  }
  checkCoverage(header, bytes.length - dataStart, file);
  return { metadata: header.metadata, entries };
}

/** Values of a tensor in its own storage type (see SafetensorsSource); a copy. */
export function decodeTensor(entry: SafetensorsEntry): SafetensorsData {
  return new STORAGE[entry.dtype](entry.bytes.slice().buffer);
}

const FLOATS: Partial<Record<SafetensorsDtype, (buffer: ArrayBuffer) => Float32Array>> = {
  F64: (buffer) => Float32Array.from(new Float64Array(buffer)),
  F32: (buffer) => new Float32Array(buffer),
  F16: (buffer) => float16ToFloat32(new Uint16Array(buffer)),
  BF16: (buffer) => bfloat16ToFloat32(new Uint16Array(buffer)),
};

/** Values of a floating-point tensor as float32; F64 is rounded. A copy. @throws SafetensorsError for integers. */
export function decodeFloat32(entry: SafetensorsEntry): Float32Array {
  const decode = FLOATS[entry.dtype];
  if (!decode)
    throw new SafetensorsError(
      `${entry.file}: tensor ${JSON.stringify(entry.name)} is ${entry.dtype}, not floating point; use decodeInt32`,
    );
  return decode(entry.bytes.slice().buffer);
}

/** Values of an integer or boolean tensor as int32. A copy. @throws SafetensorsError for floats and beyond 32 bits. */
export function decodeInt32(entry: SafetensorsEntry): Int32Array {
  const subject = `${entry.file}: tensor ${JSON.stringify(entry.name)}`;
  const values = decodeTensor(entry);
  if (values instanceof BigInt64Array)
    return Int32Array.from(values, (value) => {
      if (BigInt.asIntN(32, value) !== value)
        throw new SafetensorsError(`${subject} holds ${value}, beyond 32 bits; read it with decodeTensor`);
      return Number(value);
    });
  if (values instanceof Float64Array || values instanceof Float32Array || values instanceof Uint16Array)
    throw new SafetensorsError(`${subject} is ${entry.dtype}, not an integer; use decodeFloat32`);
  return Int32Array.from(values);
}

/** Data as the file stores it, or undefined where its type does not fit the dtype. */
function encode({ dtype, data }: SafetensorsSource): SafetensorsData | undefined {
  if (data instanceof STORAGE[dtype]) return data;
  if (dtype === "F16" && data instanceof Float32Array) return float32ToFloat16(data);
  if (dtype === "BF16" && data instanceof Float32Array) return float32ToBfloat16(data);
  if (dtype === "I64" && data instanceof Int32Array) return BigInt64Array.from(data, BigInt);
  return undefined;
}

function encodeChecked(name: string, source: SafetensorsSource): SafetensorsData {
  const subject = `safetensors: tensor ${JSON.stringify(name)}`;
  if (name === "__metadata__") throw new SafetensorsError(`${subject}: the name is reserved; choose another`);
  const { dtype, shape, data } = source;
  if (elementCount(shape) !== data.length || !shape.every((size) => Number.isSafeInteger(size) && size >= 0))
    throw new SafetensorsError(`${subject}: shape [${shape}] does not fit ${data.length} values; correct one of them`);
  const encoded = encode(source);
  if (encoded === undefined)
    throw new SafetensorsError(
      `${subject}: ${dtype} cannot be written from ${data.constructor.name}; give ${STORAGE[dtype].name}`,
    );
  return encoded;
}

/**
 * Writes tensors and metadata as one safetensors file. The header keeps the map's order; data lies widest type first,
 * so that every tensor is aligned.
 * @throws SafetensorsError for a shape or type that does not fit its data
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, SafetensorsSource>,
  metadata: ReadonlyMap<string, string> = new Map(),
): Uint8Array {
  const parts = [...tensors].map(([name, source]) => ({ name, source, data: encodeChecked(name, source), begin: 0 }));
  const layout = [...parts].sort((a, b) => b.data.BYTES_PER_ELEMENT - a.data.BYTES_PER_ELEMENT);
  let end = 0;
  for (const part of layout) {
    part.begin = end;
    end += part.data.byteLength;
  }
  // Texts are joined by hand because an object would reorder names that look like numbers.
  const pairs = [...metadata].map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
  const fields = parts.map(
    ({ name, source, data, begin }) =>
      `${JSON.stringify(name)}:{"dtype":"${source.dtype}","shape":[${source.shape}],"data_offsets":[${begin},${begin + data.byteLength}]}`,
  );
  if (pairs.length > 0) fields.unshift(`"__metadata__":{${pairs.join(",")}}`);
  const header = new TextEncoder().encode(`{${fields.join(",")}}`);
  const dataStart = PREFIX + Math.ceil(header.length / 8) * 8;
  const out = new Uint8Array(dataStart + end);
  new DataView(out.buffer).setBigUint64(0, BigInt(dataStart - PREFIX), true);
  out.fill(0x20, PREFIX, dataStart);
  out.set(header, PREFIX);
  for (const { data, begin } of parts)
    out.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), dataStart + begin);
  return out;
}
