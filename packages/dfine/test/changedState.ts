import { decodeTensor, readSafetensors } from "@dfine/nn";
import { writeSealed } from "../src/sealedFile.ts";

/** Test helper: a training state in which one value of a float tensor is another, as if it had been saved so. */
export function changedState(
  state: Uint8Array,
  { tensor, element, value }: { tensor: string; element: number; value: number },
): Uint8Array {
  const { entries, metadata } = readSafetensors(state);
  const tensors = new Map([...entries].map(([name, entry]) => [name, { ...entry, data: decodeTensor(entry) }]));
  (tensors.get(tensor)!.data as Float32Array)[element] = value;
  return writeSealed(tensors, metadata);
}
