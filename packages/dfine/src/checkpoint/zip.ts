import crc32 from "crc/calculators/crc32";
import { ModelFileError } from "./errors.ts";

/** A file inside an archive, stored as it is. */
export interface ZipEntry {
  readonly name: string;
  /** Byte range in the archive. */
  readonly start: number;
  readonly end: number;
  readonly crc32: number;
}

/** An opened archive; entries are read as views. */
export interface ZipArchive {
  readonly file: string;
  readonly entries: ReadonlyMap<string, ZipEntry>;
  view(entry: ZipEntry): Uint8Array;
  /** @throws ModelFileError where the entry's bytes are not those that were written */
  verify(entry: ZipEntry): void;
}

const LOCAL = { signature: 0x04034b50, size: 30 };
const CENTRAL = { signature: 0x02014b50, size: 46 };
const END = { signature: 0x06054b50, size: 22 };
const END64 = { signature: 0x06064b50, size: 56 };
const LOCATOR64 = { signature: 0x07064b50, size: 20 };
const MAX_COMMENT = 0xffff;
/** Stands for a number that is in the 64-bit record instead. */
const ELSEWHERE = 0xffffffff;
const EXTRA64 = 1;
const ENCRYPTED = 1;
const AGAIN = "it is damaged or incomplete; fetch it again";

/**
 * Opens a zip archive whose entries are stored without compression, as torch.save writes them. Nothing is copied, and no
 * size is believed that the file does not have.
 * @throws ModelFileError for compressed, overlapping or repeated entries and for any damage
 */
export function openZip(source: Uint8Array, file: string): ZipArchive {
  // Node's Buffer, a subclass, overrides slice to share memory; views of it must not.
  const bytes = new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  const entries = new Map<string, ZipEntry>();
  for (const entry of new DirectoryReader(bytes, file).entries()) {
    if (entries.has(entry.name)) throw new ModelFileError(`${file}: holds ${entry.name} twice; ${AGAIN}`);
    entries.set(entry.name, entry);
  }
  checkApart([...entries.values()], file);
  const view = ({ start, end }: ZipEntry) => bytes.subarray(start, end);
  return {
    file,
    entries,
    view,
    verify(entry) {
      if (crc32(view(entry)) >>> 0 !== entry.crc32)
        throw new ModelFileError(`${file}: the bytes of ${entry.name} do not have their checksum; ${AGAIN}`);
    },
  };
}

function checkApart(entries: readonly ZipEntry[], file: string): void {
  const sorted = [...entries].sort((a, b) => a.start - b.start);
  sorted.forEach((entry, i) => {
    const before = sorted[i - 1];
    if (before && entry.start - LOCAL.size < before.end)
      throw new ModelFileError(`${file}: its entries ${before.name} and ${entry.name} overlap; ${AGAIN}`);
  });
}

/** Reads the list of entries at the end of an archive. */
class DirectoryReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #file: string;

  constructor(bytes: Uint8Array, file: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#file = file;
  }

  #fail(problem: string, remedy = AGAIN): never {
    throw new ModelFileError(`${this.#file}: ${problem}; ${remedy}`);
  }

  #has(at: number, record: { signature: number; size: number }): boolean {
    return at >= 0 && at + record.size <= this.#bytes.length && this.#view.getUint32(at, true) === record.signature;
  }

  #long(at: number): number {
    const value = Number(this.#view.getBigUint64(at, true));
    return Number.isSafeInteger(value) ? value : this.#fail("a size in its directory is beyond any file");
  }

  #findEnd(): number {
    const { length } = this.#bytes;
    for (let at = length - END.size; at >= Math.max(0, length - END.size - MAX_COMMENT); at--)
      if (this.#has(at, END) && at + END.size + this.#view.getUint16(at + 20, true) === length) return at;
    return this.#fail("has no list of its entries at its end");
  }

  /** Where the directory lies and how many entries it lists. */
  #directory(): { start: number; end: number; count: number } {
    const at = this.#findEnd();
    const view = this.#view;
    let [count, size, start] = [
      view.getUint16(at + 10, true),
      view.getUint32(at + 12, true),
      view.getUint32(at + 16, true),
    ];
    let limit = at;
    if (count === 0xffff || size === ELSEWHERE || start === ELSEWHERE) {
      const locator = at - LOCATOR64.size;
      const wide = this.#has(locator, LOCATOR64) ? this.#long(locator + 8) : -1;
      if (!this.#has(wide, END64)) this.#fail("lacks the 64-bit list of its entries");
      [count, size, start] = [this.#long(wide + 32), this.#long(wide + 40), this.#long(wide + 48)];
      limit = wide;
    }
    const end = start + size;
    if (end > limit || count * CENTRAL.size > size)
      this.#fail(`its directory of ${count} entries should be bytes ${start} to ${end} of ${this.#bytes.length}`);
    return { start, end, count };
  }

  *entries(): Generator<ZipEntry> {
    const { start, end, count } = this.#directory();
    let at = start;
    for (let i = 0; i < count; i++) {
      if (!this.#has(at, CENTRAL) || at + CENTRAL.size > end) this.#fail(`entry ${i} of its directory is not one`);
      const [nameLength, extraLength, commentLength] = [28, 30, 32].map((k) => this.#view.getUint16(at + k, true));
      const next = at + CENTRAL.size + nameLength! + extraLength! + commentLength!;
      if (next > end) this.#fail(`entry ${i} reaches beyond its directory`);
      yield this.#entry(at, { nameLength: nameLength!, extraLength: extraLength!, limit: start });
      at = next;
    }
  }

  #entry(at: number, sizes: { nameLength: number; extraLength: number; limit: number }): ZipEntry {
    const view = this.#view;
    const nameEnd = at + CENTRAL.size + sizes.nameLength;
    const name = new TextDecoder().decode(this.#bytes.subarray(at + CENTRAL.size, nameEnd));
    const [flags, method] = [view.getUint16(at + 8, true), view.getUint16(at + 10, true)];
    const wide = this.#wideNumbers(nameEnd, nameEnd + sizes.extraLength);
    const number = (offset: number): number => {
      const value = view.getUint32(at + offset, true);
      return value === ELSEWHERE ? wide() : value;
    };
    // The 64-bit numbers stand in this order: size, stored size, place.
    const size = number(24);
    const stored = number(20);
    const place = number(42);
    if (flags & ENCRYPTED) this.#fail(`${name} is encrypted`, "save it without a password");
    if (method !== 0 || size !== stored)
      this.#fail(
        `${name} is compressed (${stored} bytes for ${size})`,
        "torch.save never does that; unpack the file and save it again with torch.save",
      );
    if (!this.#has(place, LOCAL)) this.#fail(`${name} does not lie where its directory says`);
    const start = place + LOCAL.size + view.getUint16(place + 26, true) + view.getUint16(place + 28, true);
    if (start + size > sizes.limit)
      this.#fail(`${name} of ${size} bytes reaches beyond the ${this.#bytes.length} bytes of the file`);
    return { name, start, end: start + size, crc32: view.getUint32(at + 16, true) };
  }

  /** Gives the 64-bit numbers of an entry's extra fields one after the other. */
  #wideNumbers(from: number, to: number): () => number {
    let next = to;
    let end = to;
    for (let at = from; at + 4 <= to; ) {
      const length = this.#view.getUint16(at + 2, true);
      if (this.#view.getUint16(at, true) === EXTRA64) [next, end] = [at + 4, Math.min(to, at + 4 + length)];
      at += 4 + length;
    }
    return () => {
      if (next + 8 > end) this.#fail("lacks a 64-bit size");
      next += 8;
      return this.#long(next - 8);
    };
  }
}
