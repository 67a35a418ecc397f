import { isDerived, type Module } from "@dfine/nn";
import { coalesce, copyInto, keep, pack, packedCopies, scope, type Tensor } from "@dfine/tensor";

/**
 * The running statistics of a model as they were before a step. The forward pass moves them, so a step that must leave no
 * trace has to put them back: a single NaN would stay in them for good.
 */
export class BufferBackup {
  readonly #pairs: readonly (readonly [buffer: Tensor, copy: Tensor])[];

  /** Moves the statistics side by side, so that all of them are copied at once. */
  constructor(model: Module) {
    const buffers = [...model.namedBuffers().values()].filter((buffer) => !isDerived(buffer));
    pack(buffers);
    const copies = keep(packedCopies(buffers));
    this.#pairs = buffers.map((buffer, i) => [buffer, copies[i]!]);
  }

  take(): void {
    this.#copy((buffer, copy) => copyInto(copy, buffer));
  }

  putBack(): void {
    this.#copy(copyInto);
  }

  #copy(copy: (buffer: Tensor, backup: Tensor) => void): void {
    scope("buffers", () => {
      for (const [buffer, backup] of coalesce(this.#pairs)) copy(buffer!, backup!);
    });
  }

  dispose(): void {
    for (const [, copy] of this.#pairs) copy.dispose();
  }
}
