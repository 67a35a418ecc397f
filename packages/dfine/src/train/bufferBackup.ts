import { isDerived, type Module } from "@dfine/nn";
import { copyInto, identity, keep, noGrad, type Tensor } from "@dfine/tensor";

/**
 * The running statistics of a model as they were before a step. The forward pass moves them, so a step that must leave no
 * trace has to put them back: a single NaN would stay in them for good.
 */
export class BufferBackup {
  readonly #pairs: readonly (readonly [buffer: Tensor, copy: Tensor])[];

  constructor(model: Module) {
    const buffers = [...model.namedBuffers().values()].filter((buffer) => !isDerived(buffer));
    this.#pairs = noGrad(() => buffers.map((buffer) => [buffer, keep(identity(buffer))] as const));
  }

  take(): void {
    for (const [buffer, copy] of this.#pairs) copyInto(copy, buffer);
  }

  putBack(): void {
    for (const [buffer, copy] of this.#pairs) copyInto(buffer, copy);
  }

  dispose(): void {
    for (const [, copy] of this.#pairs) copy.dispose();
  }
}
