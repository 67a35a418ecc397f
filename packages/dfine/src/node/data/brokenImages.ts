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

/** Counts images that cannot be used. */
export type BrokenImages = ReturnType<typeof brokenImages>;

/** The images of a data set that were met and cannot be used. One damaged file should not end a run of days; many should. */
export function brokenImages(dataset: CocoDataset, { mostBroken = 0.05, onBroken }: BrokenImagesOptions) {
  const known = new Map<number, BrokenImage>();
  const { file, images } = dataset;
  const most = mostBroken === 0 ? 0 : Math.max(1, Math.floor(mostBroken * images.length));
  let failure: DatasetError | undefined;
  /** @throws DatasetError once there are too many of them */
  const has = ({ id }: Pick<CocoImage, "id">): boolean => {
    if (failure) throw failure;
    return known.has(id);
  };
  return {
    all: (): readonly BrokenImage[] => [...known.values()],
    has,
    /** Counts an image. @throws DatasetError when it is one too many */
    add(broken: BrokenImage): void {
      const { id, message } = broken;
      if (known.has(id)) return;
      known.set(id, broken);
      const count = known.size;
      if (count > most || count === images.length)
        failure ??= new DatasetError(
          file,
          `${count} of ${images.length} images cannot be used, ${count > most ? `more than the ${most} that may be left out` : "so none is left"}; the last one: ${message.replace(/\.$/, "")}`,
          "Mend the images, or take them out of the annotations.",
        );
      if (failure) throw failure;
      onBroken?.(broken);
    },
  };
}
