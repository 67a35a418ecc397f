import { decodeTensor, readSafetensors } from "@dfine/nn";
import { writeSealed } from "../src/sealedFile.ts";

/** Test helper: a file of ours in which `change` has changed float tensors, as if it had been saved so. */
export function changedFile(
  file: Uint8Array,
  change: (name: string, tensor: { readonly shape: readonly number[]; readonly data: Float32Array }) => void,
): Uint8Array {
  const { entries, metadata } = readSafetensors(file);
  const tensors = new Map([...entries].map(([name, entry]) => [name, { ...entry, data: decodeTensor(entry) }]));
  for (const [name, { shape, data }] of tensors) if (data instanceof Float32Array) change(name, { shape, data });
  return writeSealed(tensors, metadata);
}

/** One value of one tensor changed. */
export const changedValue = (
  file: Uint8Array,
  { tensor, element, value }: { tensor: string; element: number; value: number },
): Uint8Array =>
  changedFile(file, (name, { data }) => {
    if (name === tensor) data[element] = value;
  });
