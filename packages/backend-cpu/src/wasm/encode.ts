/** Pages of 64 KiB that every module accepts at most: 4 GiB. */
export const MAX_PAGES = 65536;

const FIRST_ROOM = 512;
const word = new DataView(new ArrayBuffer(4));

/** Bytes, written one after the other. */
export class Bytes {
  #bytes = new Uint8Array(FIRST_ROOM);
  #length = 0;

  /** What is written so far; good until more is. */
  get written(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  byte(value: number): this {
    this.#ask(1);
    this.#bytes[this.#length++] = value;
    return this;
  }
  bytes(values: ArrayLike<number>): this {
    this.#ask(values.length);
    this.#bytes.set(values, this.#length);
    this.#length += values.length;
    return this;
  }
  /** Unsigned LEB128 of an integer in 0…2³²−1. */
  unsigned(value: number): this {
    let rest = value >>> 0;
    for (; rest > 0x7f; rest >>>= 7) this.byte((rest & 0x7f) | 0x80);
    return this.byte(rest);
  }
  /** Signed LEB128 of a 32-bit integer (values above 2³¹−1 wrap). */
  signed(value: number): this {
    let rest = value | 0;
    for (; rest < -0x40 || rest > 0x3f; rest >>= 7) this.byte((rest & 0x7f) | 0x80);
    return this.byte(rest & 0x7f);
  }
  /** The four bytes of a float32, lowest first. */
  f32(value: number): this {
    word.setFloat32(0, value, true);
    return this.#word();
  }
  /** The four bytes of an i32, lowest first. */
  i32(value: number): this {
    word.setInt32(0, value, true);
    return this.#word();
  }
  /** A name, in ASCII. */
  text(name: string): this {
    this.unsigned(name.length);
    for (let i = 0; i < name.length; i++) this.byte(name.charCodeAt(i));
    return this;
  }
  /** What `write` writes, after its length. */
  sized(write: (inside: Bytes) => void): this {
    const inside = new Bytes();
    write(inside);
    return this.unsigned(inside.#length).bytes(inside.written);
  }

  #word(): this {
    for (let i = 0; i < 4; i++) this.byte(word.getUint8(i));
    return this;
  }
  #ask(more: number): void {
    const length = this.#length + more;
    if (length <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(length, 2 * this.#bytes.length));
    larger.set(this.written);
    this.#bytes = larger;
  }
}

export interface ModuleParts {
  /** Import a shared memory; `WebAssembly.Memory({ shared: true })` fits no other. */
  readonly shared: boolean;
  /** Globals (i32) of `env` to import, in the order of their indices. */
  readonly globals: readonly string[];
  /** Writes declared locals and instructions, `end` included. */
  body(code: Bytes): void;
}

const MODULE = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
const SECTION = { types: 1, imports: 2, functions: 3, exports: 7, code: 10 } as const;
const I32 = 0x7f;
/** A function of three i32 without a result. */
const RUN_TYPE = [0x60, 3, I32, I32, I32, 0];

/** A module that imports `env.memory` and exports `run(args: i32, begin: i32, end: i32)`. */
export function encodeModule({ shared, globals, body }: ModuleParts): Uint8Array {
  const module = new Bytes().bytes(MODULE);
  module.byte(SECTION.types).sized((types) => types.byte(1).bytes(RUN_TYPE));
  module.byte(SECTION.imports).sized((imports) => {
    imports
      .unsigned(1 + globals.length)
      .text("env")
      .text("memory")
      .byte(0x02);
    imports
      .byte(shared ? 0x03 : 0x01)
      .byte(1)
      .unsigned(MAX_PAGES);
    for (const name of globals) imports.text("env").text(name).bytes([0x03, I32, 0x00]);
  });
  module.byte(SECTION.functions).sized((functions) => functions.bytes([1, 0]));
  module.byte(SECTION.exports).sized((exports) => exports.byte(1).text("run").bytes([0, 0]));
  module.byte(SECTION.code).sized((code) => code.byte(1).sized(body));
  return module.written.slice();
}
