import { currentBackend, keep, type Tensor, withBackend } from "@dfine/tensor";
import { memo } from "@dfine/tensor/kernel";

/** Height and width of one level's map. */
export interface LevelSize {
  readonly height: number;
  readonly width: number;
}

/** What follows from the sizes of maps alone: tensors made once for each set of sizes, where the cache was made. */
export class LevelCache<Made extends readonly Tensor[]> implements Disposable {
  readonly #make: (levels: readonly LevelSize[]) => Made;
  readonly #backend = currentBackend();
  readonly #made = new Map<string, Made>();

  constructor(make: (levels: readonly LevelSize[]) => Made) {
    this.#make = make;
  }

  get(levels: readonly LevelSize[]): Made {
    const key = levels.map(({ height, width }) => `${height}x${width}`).join();
    const make = () => withBackend<readonly Tensor[]>(this.#backend, () => this.#make(levels)) as Made;
    return memo(this.#made, key, () => keep(make()));
  }

  [Symbol.dispose](): void {
    for (const tensor of [...this.#made.values()].flat()) tensor.dispose();
  }
}
