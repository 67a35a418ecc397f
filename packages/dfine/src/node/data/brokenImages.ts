import type { CocoDataset, CocoImage } from "../../data/dataset.ts";
import { DatasetError } from "../../data/errors.ts";

/** An image that cannot be used: damaged, too large, of another size than its annotations say. */
export interface BrokenImage {
  readonly id: number;
  readonly fileName: string;
  /** The whole message: path, fact and remedy. */
  readonly message: string;
}

/** How many images may be left out, and who is told. */
export interface BrokenImagesOptions {
  /** Share of the images that may be left out, at least one image; 0: none at all. Default 0.05. */
  readonly mostBroken?: number;
  /** Told of each image once, when it is met. */
  readonly onBroken?: (image: BrokenImage) => void;
}

/** Share of images that may be left out where nothing else is said. */
export const MOST_BROKEN = 0.05;

/** The images of a data set that were met and cannot be used. One damaged file should not end a run of days; many should. */
export class BrokenImages {
  readonly #dataset: CocoDataset;
  readonly #options: BrokenImagesOptions;
  readonly #known = new Map<number, BrokenImage>();

  constructor(dataset: CocoDataset, options: BrokenImagesOptions) {
    this.#dataset = dataset;
    this.#options = options;
  }

  get all(): readonly BrokenImage[] {
    return [...this.#known.values()];
  }

  has(image: CocoImage): boolean {
    return this.#known.has(image.id);
  }

  /** Counts an image. @throws DatasetError when it is one too many */
  add(broken: BrokenImage): void {
    const { id, message } = broken;
    if (this.#known.has(id)) return;
    this.#known.set(id, broken);
    const { file, images } = this.#dataset;
    const { mostBroken = MOST_BROKEN, onBroken } = this.#options;
    const most = mostBroken === 0 ? 0 : Math.max(1, Math.floor(mostBroken * images.length));
    const count = this.#known.size;
    if (count > most || count === images.length)
      throw new DatasetError(
        file,
        `${count} of ${images.length} images cannot be used, ${count > most ? `more than the ${most} that may be left out` : "so none is left"}; the last one: ${message.replace(/\.$/, "")}`,
        "Mend the images, or take them out of the annotations.",
      );
    onBroken?.(broken);
  }
}
