import { currentBackend, keep, recordsAnySize, type Tensor, withBackend } from "@dfine/tensor";
import { memo } from "@dfine/tensor/kernel";

/** Height and width of one level's map. */
export interface LevelSize {
  readonly height: number;
  readonly width: number;
}

/** What follows from the sizes of maps alone: tensors made once for each set of sizes, where the cache was made. */
export class LevelCache<Made extends readonly Tensor[]> implements Disposable {
  readonly #make: (levels: readonly LevelSize[]) => Made;
  readonly #byOps: (levels: readonly LevelSize[]) => Made;
  readonly #backend = currentBackend();
  readonly #made = new Map<string, Made>();

  /** `byOps` computes the same by ops alone, for recordings that are to fit any size. */
  constructor(make: (levels: readonly LevelSize[]) => Made, byOps: (levels: readonly LevelSize[]) => Made) {
    this.#make = make;
    this.#byOps = byOps;
  }

  get(levels: readonly LevelSize[]): Made {
    const here = (make: (levels: readonly LevelSize[]) => Made) =>
      withBackend<readonly Tensor[]>(this.#backend, () => make(levels)) as Made;
    if (recordsAnySize()) return here(this.#byOps);
    const key = levels.map(({ height, width }) => `${height}x${width}`).join();
    return memo(this.#made, key, () => keep(here(this.#make)));
  }

  [Symbol.dispose](): void {
    for (const tensor of [...this.#made.values()].flat()) tensor.dispose();
  }
}
