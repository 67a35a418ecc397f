import { readNamed, readSafetensors, writeSafetensors } from "@dfine/nn";
import { referenceBackend, tensor } from "@dfine/tensor";
import { expect, test } from "vitest";
import { hostTensors, tensorSources } from "./tensorFile.ts";

test.each([32, 64] as const)("tensors of a float%i backend come back exactly", async (floatBits) => {
  const backend = referenceBackend({ floatBits });
  {
    const tensors = new Map([
      ["a", tensor([1 / 3, 1e-42, -7], [3], { backend })],
      ["b", tensor([1, -(2 ** 31)], [1, 2], { dtype: "i32", backend })],
    ]);
    const values = await readNamed(tensors);
    const file = writeSafetensors(new Map([...tensorSources(values, "x."), ...tensorSources(values, "y.")]));
    const back = hostTensors(readSafetensors(file).entries, "y.");
    for (const [name, { shape, data }] of back) {
      expect(shape).toEqual(tensors.get(name)!.shape);
      expect(data).toEqual(await tensors.get(name)!.data());
    }
    expect([...back.keys()]).toEqual(["a", "b"]);
  }
});
