import type { SafetensorsDtype, SafetensorsEntry } from "@dfine/nn";
import { isContiguous, sizeOf } from "@dfine/tensor";
import { PickleList, PickleObject, type PickleValue } from "./pickleValues.ts";
import type { ZipArchive, ZipEntry } from "./zip.ts";

/** Elements of a storage; `width` is in bytes. */
type ElementType = Readonly<{ dtype: SafetensorsDtype; width: number }>;

/** PyTorch's storage classes, by their name in the module `torch`. */
export const STORAGE_DTYPES: { readonly [name: string]: ElementType } = {
  DoubleStorage: { dtype: "F64", width: 8 },
  FloatStorage: { dtype: "F32", width: 4 },
  HalfStorage: { dtype: "F16", width: 2 },
  BFloat16Storage: { dtype: "BF16", width: 2 },
  LongStorage: { dtype: "I64", width: 8 },
  IntStorage: { dtype: "I32", width: 4 },
  ShortStorage: { dtype: "I16", width: 2 },
  CharStorage: { dtype: "I8", width: 1 },
  ByteStorage: { dtype: "U8", width: 1 },
  BoolStorage: { dtype: "BOOL", width: 1 },
};

/** Axes of a tensor; more than any model's, few enough to walk. */
const MAX_RANK = 16;

/** A class such as torch.FloatStorage. */
export class StorageType extends PickleObject<ElementType> {}

/** `count` elements in the archive, of which tensors are views. */
export class Storage extends PickleObject<{ type: ElementType; entry: ZipEntry; count: number }> {}

interface View {
  readonly storage: Storage;
  /** Elements before the first one, and past the last one. */
  readonly begin: number;
  readonly end: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** A strided view of a storage, whose every element lies inside it. */
export class TorchTensor extends PickleObject<View> {
  /** The tensor that torch._utils._rebuild_tensor_v2 makes of its arguments. */
  static rebuild(args: readonly PickleValue[], fail: (problem: string) => never): TorchTensor {
    const [storage, offset, size, stride] = args;
    if (!(storage instanceof Storage)) fail("its pickle makes a tensor of something that is not a storage");
    const shape = naturals(size);
    const strides = naturals(stride);
    if (!isNatural(offset) || !shape || !strides || shape.length !== strides.length || shape.length > MAX_RANK)
      fail("its pickle makes a tensor whose offset, size or strides are not whole numbers that go together");
    const begin = offset;
    const isEmpty = shape.includes(0);
    const elements = isEmpty ? 0 : sizeOf(shape);
    const end = isEmpty ? begin : begin + 1 + shape.reduce((sum, length, i) => sum + (length - 1) * strides[i]!, 0);
    const { count } = storage.known;
    if (end > count || elements > count)
      fail(
        `has a tensor [${shape}] with strides [${strides}] from element ${begin} of ${storage.what}, which has ${count} elements`,
      );
    return new TorchTensor("a tensor", { storage, begin, end, shape, strides });
  }

  /** The elements in row-major order: a view of the file, or a copy where the tensor is not stored so. */
  bytes(archive: ZipArchive): Uint8Array {
    const { storage, begin, end, shape, strides } = this.known;
    const { type, entry } = storage.known;
    const { width } = type;
    const source = archive.view(entry);
    if (isContiguous(shape, strides) || shape.includes(0)) return source.subarray(begin * width, end * width);
    const out = new Uint8Array(sizeOf(shape) * width);
    const index = shape.map(() => 0);
    let from = begin * width;
    for (let to = 0; to < out.length; to += width) {
      for (let k = 0; k < width; k++) out[to + k] = source[from + k]!;
      for (let axis = index.length - 1; axis >= 0; axis--) {
        from += strides[axis]! * width;
        if (++index[axis]! < shape[axis]!) break;
        from -= shape[axis]! * strides[axis]! * width;
        index[axis] = 0;
      }
    }
    return out;
  }

  entry(name: string, archive: ZipArchive): SafetensorsEntry {
    const { storage, shape } = this.known;
    const bytes = () => this.bytes(archive);
    return {
      ...{ name, dtype: storage.known.type.dtype, shape, file: archive.file },
      get bytes() {
        return bytes();
      },
    };
  }
}

const isNatural = (value: PickleValue | undefined): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0;

/** A tuple or list of whole numbers from 0 on. */
function naturals(value: PickleValue | undefined): number[] | undefined {
  if (!(value instanceof PickleList)) return undefined;
  const numbers = value.items.filter(isNatural);
  return numbers.length === value.items.length ? numbers : undefined;
}
