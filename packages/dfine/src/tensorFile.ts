import {
  decodeFloat32,
  decodeInt32,
  decodeTensor,
  type HostTensor,
  type SafetensorsEntry,
  type SafetensorsSource,
} from "@dfine/nn";

/** Values as a file stores them: as exact as the backend has them. */
export function tensorSource({ shape, data }: HostTensor): SafetensorsSource {
  if (data instanceof Float32Array) return { dtype: "F32", shape, data };
  return data instanceof Int32Array ? { dtype: "I32", shape, data } : { dtype: "F64", shape, data };
}

/** Named values, ready to be written to a file; `prefix` is put before each name. */
export const tensorSources = (values: ReadonlyMap<string, HostTensor>, prefix = ""): Map<string, SafetensorsSource> =>
  new Map([...values].map(([name, value]) => [prefix + name, tensorSource(value)]));

/** Whether a file's entry holds fractions. */
export const isFloat = ({ dtype }: Pick<SafetensorsEntry, "dtype">): boolean =>
  dtype.startsWith("F") || dtype === "BF16";

export function hostTensor(entry: SafetensorsEntry): HostTensor {
  const { dtype, shape } = entry;
  if (dtype === "F64") return { shape, data: decodeTensor(entry) as Float64Array };
  const data = isFloat(entry) ? decodeFloat32(entry) : decodeInt32(entry);
  return { shape, data };
}

/** The entries whose names begin with `prefix`, without it. */
export function hostTensors(entries: ReadonlyMap<string, SafetensorsEntry>, prefix = ""): Map<string, HostTensor> {
  const found = new Map<string, HostTensor>();
  for (const [name, entry] of entries)
    if (name.startsWith(prefix)) found.set(name.slice(prefix.length), hostTensor(entry));
  return found;
}
