import type { Terminal } from "./cli/terminal.ts";
import type { BrokenImage } from "./data/brokenImages.ts";

export type LeftOutPart = "train" | "val";

/** Warnings for single images; beyond that they are only counted, and logged. */
const WARNINGS = 10;

/** Says which images a command could not use, and keeps account of them. */
export class LeftOut {
  readonly #terminal: Terminal;
  readonly #onImage: ((image: BrokenImage, part: LeftOutPart) => void) | undefined;
  readonly #counts: Record<LeftOutPart, number> = { train: 0, val: 0 };
  #warnings = 0;

  constructor(terminal: Terminal, onImage?: (image: BrokenImage, part: LeftOutPart) => void) {
    this.#terminal = terminal;
    this.#onImage = onImage;
  }

  /** What a loader of this part tells. */
  of(part: LeftOutPart): (image: BrokenImage) => void {
    return (image) => {
      this.#counts[part]++;
      this.#onImage?.(image, part);
      this.#warnings++;
      if (this.#warnings <= WARNINGS) this.#terminal.warn(`left out: ${image.message}`);
      if (this.#warnings === WARNINGS) this.#terminal.warn("further images that are left out are only counted");
    };
  }

  /** A sentence for each part of which images were left out. */
  get notes(): string[] {
    const { train, val } = this.#counts;
    const images = (count: number) => `${count} ${count === 1 ? "image" : "images"}`;
    return [
      ...(train > 0 ? [`${images(train)} of the training data could not be used; others took their places`] : []),
      ...(val > 0
        ? [`${images(val)} of the validation data could not be used, and count as images in which nothing was found`]
        : []),
    ];
  }
}
