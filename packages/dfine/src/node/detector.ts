import type { RgbImage } from "../data/image.ts";
import { type CreateOptions, type DetectOptions, DFine as Detector, type PretrainedOptions } from "../dfine.ts";
import type { Result } from "../result.ts";
import { writeFileAtomic } from "./checkpointFile.ts";
import { decodeImage } from "./data/decode.ts";
import { readWeights } from "./files.ts";

/** The detector with files: weights by path or run folder, images by path. */
export class DFine extends Detector {
  /** A detector with first weights, as training starts from. @throws ConfigError, DeviceError */
  static override async create(options: CreateOptions): Promise<DFine> {
    // biome-ignore lint/complexity/noThisInStatic: only `super` lets the base class make a detector of this kind.
    return (await super.create(options)) as DFine;
  }

  /**
   * Opens weights: a file (.pth of the official trainer, safetensors of Hugging Face, our own), the folder of a run (its
   * best weights) or of a model from Hugging Face, a web address, or bytes. A config.json beside the file names its classes.
   * @throws ModelFileError, SafetensorsError, DeviceError
   */
  static override async fromPretrained(weights: string | Uint8Array, options: PretrainedOptions = {}): Promise<DFine> {
    const { bytes, ...about } = typeof weights === "string" ? await readWeights(weights) : { bytes: weights };
    // biome-ignore lint/complexity/noThisInStatic: only `super` lets the base class make a detector of this kind.
    return (await super.fromPretrained(bytes, { ...about, ...options })) as DFine;
  }

  /** Finds objects in images, given as pixels, paths or encoded bytes. @throws ImageError */
  override async detect(images: ImageLike | readonly ImageLike[], options: DetectOptions = {}): Promise<Result[]> {
    const list = Array.isArray(images) ? (images as readonly ImageLike[]) : [images as ImageLike];
    const results: Result[] = [];
    for (const image of list) {
      options.signal?.throwIfAborted();
      const pixels = typeof image === "string" || image instanceof Uint8Array ? await decodeImage(image) : image;
      results.push(...(await super.detect([pixels], options)));
    }
    return results;
  }

  /** Writes the weights into a file, in one piece or not at all. */
  async saveFile(path: string): Promise<void> {
    await writeFileAtomic(path, await this.save());
  }
}

/** Pixels, a path, or the bytes of an encoded image. */
export type ImageLike = RgbImage | string | Uint8Array;
