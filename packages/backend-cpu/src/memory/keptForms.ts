import type { Buffer } from "@dfine/tensor";
import { memo, type View } from "@dfine/tensor/kernel";
import type { Heap } from "./heap.ts";

/** A weight as a kernel reads it. */
export interface WeightForm {
  /** Says what is made of the weight, its shape and strides aside. */
  readonly name: string;
  /** How much memory it takes. */
  readonly bytes: number;
  /** Writes it at an address. */
  readonly make: (to: number) => void;
}

interface Known {
  readonly version: number;
  /** Where the form lies; undefined after one use. */
  kept: { readonly pointer: number; readonly bytes: number } | undefined;
}

/**
 * Forms of weights. One is kept when it is asked for again and the weight was not changed in between: so those of a model
 * that only predicts are made twice, and those of one that is being trained are not kept. They go with the weight's buffer.
 */
export class KeptForms {
  readonly #heap: Heap;
  readonly #byBuffer = new Map<Buffer, Map<string, Known>>();

  constructor(heap: Heap) {
    this.#heap = heap;
  }

  /** Address of the form, if it is one to keep; else undefined. */
  find(view: View, { name, bytes, make }: WeightForm): number | undefined {
    const { buffer, version, shape, strides, offset } = view;
    if (version === undefined) {
      this.drop(buffer);
      return undefined;
    }
    const forms = memo(this.#byBuffer, buffer, () => new Map<string, Known>());
    const key = `${name} ${offset} ${shape} ${strides}`;
    const known = forms.get(key);
    if (known?.version !== version) {
      this.#free(known);
      forms.set(key, { version, kept: undefined });
      return undefined;
    }
    if (!known.kept) {
      const pointer = this.#heap.alloc(bytes);
      make(pointer);
      known.kept = { pointer, bytes };
    }
    return known.kept.pointer;
  }

  /** Gives back everything, between two launches; false if there was nothing. */
  clear(): boolean {
    const buffers = [...this.#byBuffer.keys()];
    for (const buffer of buffers) this.drop(buffer);
    return buffers.length > 0;
  }

  /** Gives back what is kept of a buffer that is freed or written. */
  drop(buffer: Buffer): void {
    for (const known of this.#byBuffer.get(buffer)?.values() ?? []) this.#free(known);
    this.#byBuffer.delete(buffer);
  }

  #free(known: Known | undefined): void {
    if (known?.kept) this.#heap.free(known.kept.pointer, known.kept.bytes);
  }
}
