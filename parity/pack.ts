import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { decodeInt32, decodeTensor, readSafetensors, type SafetensorsEntry, type SafetensorsFile } from "@dfine/nn";
import type { RgbImage } from "../packages/dfine/src/data/image.ts";
import { decodeImage } from "../packages/dfine/src/node/data/decode.ts";

/** A tensor as a pack's JSON holds it. */
export interface JsonTensor {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

export interface FloatValues {
  readonly shape: readonly number[];
  readonly values: Float32Array | Float64Array;
}

/** A tensor stored as some of its elements: flat positions, their values, and statistics of the whole. */
export interface Samples {
  readonly index: Int32Array;
  readonly values: Float32Array | Float64Array;
  readonly shape: readonly number[];
  readonly std: number;
}

/** A file or tensor that the pack's own files promise and that is not there. */
export class PackError extends Error {
  override readonly name = "PackError";
}

/** One safetensors file of a pack. */
export class PackTensors {
  readonly #file: SafetensorsFile;
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
    this.#file = readSafetensors(readFileSync(path), path);
  }

  get names(): string[] {
    return [...this.#file.entries.keys()];
  }

  has(name: string): boolean {
    return this.#file.entries.has(name);
  }

  /** @throws PackError where the file lacks the tensor */
  entry(name: string): SafetensorsEntry {
    const entry = this.#file.entries.get(name);
    if (!entry) throw new PackError(`${this.#path} has no tensor ${name}`);
    return entry;
  }

  floats(name: string): FloatValues {
    const entry = this.entry(name);
    const values = decodeTensor(entry);
    if (!(values instanceof Float32Array || values instanceof Float64Array))
      throw new PackError(`${this.#path}: ${name} is ${entry.dtype}, not F32 or F64`);
    return { shape: entry.shape, values };
  }

  /** Values of any type. */
  numbers(name: string): number[] {
    return Array.from(decodeTensor(this.entry(name)), Number);
  }

  integers(name: string): Int32Array {
    return decodeInt32(this.entry(name));
  }

  bytes(name: string): { shape: readonly number[]; values: Uint8Array } {
    const { shape, bytes } = this.entry(name);
    return { shape, values: bytes };
  }

  /** Tensors under one of `prefixes`, stored whole or as samples. */
  sampled(...prefixes: readonly string[]): string[] {
    const inFile = this.names.filter((name) => prefixes.some((prefix) => name.startsWith(prefix)));
    return [...new Set(inFile.map((name) => name.replace(/\.(index|value|shape|mean_std)$/, "")))].sort();
  }

  /** Samples of a large tensor, or all of a small one. */
  samples(name: string): Samples {
    if (this.has(name)) {
      const { shape, values } = this.floats(name);
      return { index: Int32Array.from(values.keys()), values, shape, std: deviation(values) };
    }
    const shape = this.has(`${name}.shape`) ? [...this.integers(`${name}.shape`)] : [];
    const values = this.floats(`${name}.value`).values;
    const std = this.has(`${name}.mean_std`) ? this.floats(`${name}.mean_std`).values[1]! : deviation(values);
    return { index: this.integers(`${name}.index`), values, shape, std };
  }
}

function deviation(values: ArrayLike<number>): number {
  const list = Array.from(values);
  const mean = list.reduce((sum, v) => sum + v, 0) / list.length;
  return Math.sqrt(list.reduce((sum, v) => sum + (v - mean) ** 2, 0) / list.length);
}

/** A reference pack: a folder of the form that its README describes. */
export class Pack {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  has(path: string): boolean {
    return existsSync(join(this.root, path));
  }

  text(path: string): string {
    return readFileSync(join(this.root, path), "utf8");
  }

  bytes(path: string): Uint8Array {
    return readFileSync(join(this.root, path));
  }

  json<T>(path: string): T {
    return JSON.parse(this.text(path)) as T;
  }

  tensors(path: string): PackTensors {
    return new PackTensors(join(this.root, path));
  }

  /** A picture in the folder images. */
  picture(file: string): Promise<RgbImage> {
    return decodeImage(readFileSync(join(this.root, "images", file)));
  }

  /** The network input made from `image`, already resized to `size`. */
  image(image: string, size: number): Promise<RgbImage> {
    const name = image.replace(/\.[^.]*$/, "");
    return decodeImage(readFileSync(join(this.root, "images", `${name}_${size}.png`)));
  }
}
