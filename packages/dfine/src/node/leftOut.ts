import { counted } from "../describe.ts";
import type { BrokenImage } from "./data/brokenImages.ts";
import type { DataPart, LeftOutEvent, RunSink } from "./runEvents.ts";

/** What becomes of images that cannot be used, after "N images". */
const CONSEQUENCES: Readonly<Record<DataPart, string>> = {
  train: "of the training data could not be used; others took their places",
  val: "of the validation data could not be used, and count as images in which nothing was found",
};

/** Tells which images a command could not use, and keeps account of them. */
export class LeftOut {
  readonly #sink: RunSink;
  readonly #counts: Record<DataPart, number> = { train: 0, val: 0 };
  #new: LeftOutEvent[] = [];

  constructor(sink: RunSink) {
    this.#sink = sink;
  }

  /** What a loader of this part tells. */
  of(part: DataPart): (image: BrokenImage) => void {
    return (image) => {
      this.#counts[part]++;
      const event = { kind: "left out", part, image } as const;
      this.#new.push(event);
      this.#sink(event);
    };
  }

  /** What was left out since the last call. */
  takeNew(): readonly LeftOutEvent[] {
    return this.#new.splice(0);
  }

  /** A sentence for each part of which images were left out. */
  get notes(): string[] {
    const parts = (["train", "val"] as const).filter((part) => this.#counts[part] > 0);
    return parts.map((part) => `${counted(this.#counts[part], "image")} ${CONSEQUENCES[part]}`);
  }
}
