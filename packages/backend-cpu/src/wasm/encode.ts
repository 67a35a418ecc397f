/** Unsigned LEB128 of an integer in 0…2³²−1. */
export function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value >>> 0;
  do {
    const low = rest & 0x7f;
    rest >>>= 7;
    bytes.push(rest === 0 ? low : low | 0x80);
  } while (rest !== 0);
  return bytes;
}

/** Signed LEB128 of a 32-bit integer (values above 2³¹−1 wrap). */
export function signed(value: number): number[] {
  const bytes: number[] = [];
  let rest = value | 0;
  for (;;) {
    const low = rest & 0x7f;
    rest >>= 7;
    if ((rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)) {
      bytes.push(low);
      return bytes;
    }
    bytes.push(low | 0x80);
  }
}

const word = new DataView(new ArrayBuffer(4));

/** The four bytes of a float32, lowest first. */
export function floatBytes(value: number): number[] {
  word.setFloat32(0, value, true);
  return [0, 1, 2, 3].map((i) => word.getUint8(i));
}

/** The four bytes of an i32, lowest first. */
export function intBytes(value: number): number[] {
  word.setInt32(0, value, true);
  return [0, 1, 2, 3].map((i) => word.getUint8(i));
}

const text = (s: string): number[] => [...unsigned(s.length), ...new TextEncoder().encode(s)];
const section = (id: number, body: readonly number[]): number[] => [id, ...unsigned(body.length), ...body];

/** Pages of 64 KiB that every module accepts at most: 4 GiB. */
export const MAX_PAGES = 65536;

export interface ModuleParts {
  /** Import a shared memory; `WebAssembly.Memory({ shared: true })` fits no other. */
  readonly shared: boolean;
  /** Globals (i32) of `env` to import, in the order of their indices. */
  readonly globals: readonly string[];
  /** Declared locals and instructions, `end` included. */
  readonly body: readonly number[];
}

/** A module that imports `env.memory` and exports `run(args: i32, begin: i32, end: i32)`. */
export function encodeModule(parts: ModuleParts): Uint8Array {
  const i32 = 0x7f;
  const type = [0x60, 3, i32, i32, i32, 0];
  const memory = [...text("env"), ...text("memory"), 0x02, parts.shared ? 0x03 : 0x01, 1, ...unsigned(MAX_PAGES)];
  const globals = parts.globals.flatMap((name) => [...text("env"), ...text(name), 0x03, i32, 0x00]);
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, [1, ...type]),
    ...section(2, [1 + parts.globals.length, ...memory, ...globals]),
    ...section(3, [1, 0]),
    ...section(7, [1, ...text("run"), 0, 0]),
    ...section(10, [1, ...unsigned(parts.body.length), ...parts.body]),
  ]);
}
