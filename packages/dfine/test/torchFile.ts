import { zipSync } from "fflate";

/** What the pickle writer writes: plain data, and the wrappers below for what JavaScript lacks. */
export type Source =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly Source[]
  | ReadonlyMap<Source, Source>
  | Tuple
  | Global
  | Reduce
  | Build
  | Persistent
  | Raw;

class Tuple {
  readonly items: readonly Source[];
  constructor(items: readonly Source[]) {
    this.items = items;
  }
}
class Global {
  readonly path: readonly [string, string];
  constructor(module: string, name: string) {
    this.path = [module, name];
  }
}
class Reduce {
  readonly parts: readonly [Source, Source];
  constructor(callable: Source, args: Source) {
    this.parts = [callable, args];
  }
}
class Build {
  readonly parts: readonly [Source, Source];
  constructor(target: Source, state: Source) {
    this.parts = [target, state];
  }
}
class Persistent {
  readonly id: Source;
  constructor(id: Source) {
    this.id = id;
  }
}
class Raw {
  readonly bytes: readonly number[];
  constructor(bytes: readonly number[]) {
    this.bytes = bytes;
  }
}

export const tuple = (...items: readonly Source[]): Source => new Tuple(items);
export const global = (module: string, name: string): Source => new Global(module, name);
/** A call, as Python pickles objects that are made by one. */
export const call = (callable: Source, ...args: readonly Source[]): Source => new Reduce(callable, tuple(...args));
export const build = (target: Source, state: Source): Source => new Build(target, state);
export const persistent = (id: Source): Source => new Persistent(id);
/** Instructions as they are. */
export const raw = (...bytes: readonly number[]): Source => new Raw(bytes);

const utf8 = new TextEncoder();
const char = (text: string): number => text.charCodeAt(0);
const uint32 = (value: number): number[] => [...new Uint8Array(Uint32Array.of(value).buffer)];

function float64(value: number): number[] {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value, false);
  return [...new Uint8Array(view.buffer)];
}

function text(value: string): number[] {
  const bytes = utf8.encode(value);
  return [char("X"), ...uint32(bytes.length), ...bytes];
}

function integer(value: bigint): number[] {
  const bytes: number[] = [];
  for (
    let rest = value;
    bytes.length === 0 || (rest !== 0n && rest !== -1n) || ((bytes.at(-1)! & 128) === 128) !== value < 0n;
    rest >>= 8n
  )
    bytes.push(Number(rest & 255n));
  return [0x8a, bytes.length, ...bytes];
}

function write(source: Source): number[] {
  if (source === null) return [char("N")];
  if (typeof source === "boolean") return [source ? 0x88 : 0x89];
  if (typeof source === "string") return text(source);
  if (typeof source === "bigint") return integer(source);
  if (typeof source === "number") {
    const isSmall = Number.isInteger(source) && Math.abs(source) < 2 ** 31 && !Object.is(source, -0);
    return isSmall ? [char("J"), ...uint32(source)] : [char("G"), ...float64(source)];
  }
  if (source instanceof Tuple) return [char("("), ...source.items.flatMap(write), char("t")];
  if (source instanceof Global) return [char("c"), ...utf8.encode(`${source.path.join("\n")}\n`)];
  if (source instanceof Reduce) return [...source.parts.flatMap(write), char("R")];
  if (source instanceof Build) return [...source.parts.flatMap(write), char("b")];
  if (source instanceof Persistent) return [...write(source.id), char("Q")];
  if (source instanceof Raw) return [...source.bytes];
  if (source instanceof Map) return [char("}"), char("("), ...[...source].flat().flatMap(write), char("u")];
  return [char("]"), char("("), ...(source as readonly Source[]).flatMap(write), char("e")];
}

/** A pickle of protocol 2, as torch.save writes them but without its memo. */
export const pickle = (source: Source): Uint8Array => Uint8Array.from([0x80, 2, ...write(source), char(".")]);

export interface TensorSource {
  /** As in torch.FloatStorage. */
  readonly storage?: string;
  readonly shape: readonly number[];
  readonly data: ArrayBufferView;
  /** Default: contiguous. */
  readonly strides?: readonly number[];
  readonly offset?: number;
  /** Elements as the pickle says; default: as many as there are. */
  readonly count?: number;
  /** Tensors of one key share the first one's numbers. */
  readonly key?: string;
}

const contiguous = (shape: readonly number[]): number[] =>
  shape.map((_, i) => shape.slice(i + 1).reduce((product, size) => product * size, 1));

/** Collects the storages of tensors while a pickle is described. */
export class TorchFile {
  readonly #storages = new Map<string, Uint8Array>();

  tensor(source: TensorSource): Source {
    const { storage = "FloatStorage", shape, data, offset = 0, strides = contiguous(shape) } = source;
    const key = source.key ?? String(this.#storages.size);
    if (!this.#storages.has(key))
      this.#storages.set(key, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    const width = (data as Uint8Array).BYTES_PER_ELEMENT;
    const count = source.count ?? data.byteLength / width;
    const id = tuple("storage", global("torch", storage), key, "cpu", count);
    const hooks = call(global("collections", "OrderedDict"));
    return call(
      global("torch._utils", "_rebuild_tensor_v2"),
      ...[persistent(id), offset, tuple(...shape), tuple(...strides), false, hooks],
    );
  }

  float32(shape: readonly number[], value: number | readonly number[] = 0): Source {
    const size = shape.reduce((product, side) => product * side, 1);
    return this.tensor({
      shape,
      data: Float32Array.from({ length: size }, (_, i) => (typeof value === "number" ? value : value[i]!)),
    });
  }

  /** The archive's entries around a pickle. */
  entries(data: Uint8Array, folder = "archive"): Record<string, Uint8Array> {
    const storages = [...this.#storages].map(([key, bytes]) => [`${folder}/data/${key}`, bytes] as const);
    return {
      [`${folder}/data.pkl`]: data,
      [`${folder}/byteorder`]: utf8.encode("little"),
      ...Object.fromEntries(storages),
      [`${folder}/version`]: utf8.encode("3\n"),
    };
  }

  /** The file as torch.save writes it: a zip archive without compression. */
  bytes(root: Source): Uint8Array {
    return zipSync(this.entries(pickle(root)), { level: 0 });
  }
}

/** A file of what `describe` makes with tensors. */
export function torchFile(describe: (file: TorchFile) => Source): Uint8Array {
  const file = new TorchFile();
  return file.bytes(describe(file));
}

/** The state of a model as a dictionary of tensors. */
export const orderedDict = (pairs: Iterable<readonly [string, Source]>): Source =>
  build(
    call(
      global("collections", "OrderedDict"),
      [...pairs].map(([name, value]) => tuple(name, value)),
    ),
    new Map([["_metadata", new Map()]]),
  );
