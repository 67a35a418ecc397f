import { readTensors, type Shape, sameShape, shapeText, type Tensor } from "@dfine/tensor";
import { type HostTensor, StateDictError } from "../state.ts";

/** Copies named tensors to the host with one synchronisation. */
export async function readNamed(tensors: ReadonlyMap<string, Tensor>): Promise<Map<string, HostTensor>> {
  const data = await readTensors([...tensors.values()]);
  return new Map([...tensors].map(([name, { shape }], i) => [name, { shape, data: data[i]! }]));
}

/** The saved entry `name`, which must have `shape`. @throws StateDictError */
export function savedEntry(state: ReadonlyMap<string, HostTensor>, name: string, shape: Shape): HostTensor {
  const entry = state.get(name);
  const found = entry && sameShape(entry.shape, shape);
  if (found) return entry;
  const problem = entry ? `is ${shapeText(entry.shape)}, the model's ${shapeText(shape)}` : "is missing";
  throw new StateDictError(`the saved ${name} ${problem}: it belongs to another model or another version of this one`, {
    missing: entry ? [] : [name],
    unexpected: [],
    mismatched: entry ? [name] : [],
  });
}
