import { readTensors, type Shape, sameShape, shapeText, type Tensor, writeTensor } from "@dfine/tensor";
import { type HostTensor, StateDictError } from "../state.ts";

/** Copies named tensors to the host with one synchronisation. */
export async function readNamed(tensors: ReadonlyMap<string, Tensor>): Promise<Map<string, HostTensor>> {
  const data = await readTensors([...tensors.values()]);
  return new Map([...tensors].map(([name, { shape }], i) => [name, { shape, data: data[i]! }]));
}

/** Puts back what `readNamed` gave of all `tensors`. @throws StateDictError */
export function writeNamed(tensors: ReadonlyMap<string, Tensor>, state: ReadonlyMap<string, HostTensor>): void {
  for (const [name, tensor] of tensors) {
    const entry = state.get(name);
    if (!entry || !sameShape(entry.shape, tensor.shape)) throw otherModel(name, tensor.shape, entry);
    writeTensor(tensor, entry.data);
  }
}

function otherModel(name: string, shape: Shape, entry: HostTensor | undefined): StateDictError {
  const problem = entry ? `is ${shapeText(entry.shape)}, the model's ${shapeText(shape)}` : "is missing";
  return new StateDictError(
    `the saved ${name} ${problem}: it belongs to another model or another version of this one`,
    {
      missing: entry ? [] : [name],
      unexpected: [],
      mismatched: entry ? [name] : [],
    },
  );
}
