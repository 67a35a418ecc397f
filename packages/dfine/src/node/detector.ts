import { checkOptions, type OptionRules, text, whole } from "@dfine/tensor";
import type { RgbImage } from "../data/image.ts";
import {
  type CreateOptions,
  DETECT_OPTIONS,
  type DetectOptions,
  PRETRAINED_OPTIONS,
  type PretrainedOptions,
} from "../detectorOptions.ts";
import { DFine as Detector } from "../dfine.ts";
import type { Result } from "../result.ts";
import { writeFileAtomic } from "./checkpointFile.ts";
import type { DecodeOptions } from "./data/decode.ts";
import { readImage } from "./data/readImage.ts";
import { readWeights } from "./files.ts";
import type { CacheOptions } from "./weights/cachedWeights.ts";

/** How weights are opened, by path, address or name. */
export interface PretrainedFileOptions extends PretrainedOptions, CacheOptions {}

const OPTIONS: OptionRules<PretrainedFileOptions> = { ...PRETRAINED_OPTIONS, cache: text };

/** The detector with files: weights by path or run folder, images by path. */
export class DFine extends Detector {
  /** A detector with first weights, as training starts from. @throws ConfigError, DeviceError */
  static override async create(options: CreateOptions): Promise<DFine> {
    // biome-ignore lint/complexity/noThisInStatic: only `super` lets the base class make a detector of this kind.
    return (await super.create(options)) as DFine;
  }

  /**
   * Opens weights: a file (.pth of the official trainer, safetensors of Hugging Face, our own), the folder of a run (its
   * best weights) or of a model from Hugging Face, the name of official weights (`n-coco`, one of `RELEASE_NAMES`) or a web
   * address, which are fetched once and kept in `cacheFolder()`, or bytes. A config.json beside the file names its classes.
   * @throws ModelFileError, SafetensorsError, FileWriteError, DeviceError, ArgumentError for options
   */
  static override async fromPretrained(
    weights: string | Uint8Array,
    options: PretrainedFileOptions = {},
  ): Promise<DFine> {
    checkOptions("DFine.fromPretrained", options, OPTIONS);
    const { cache, ...others } = options;
    const { bytes, ...about } = typeof weights === "string" ? await readWeights(weights, options) : { bytes: weights };
    // biome-ignore lint/complexity/noThisInStatic: only `super` lets the base class make a detector of this kind.
    return (await super.fromPretrained(bytes, { ...about, ...others })) as DFine;
  }

  /**
   * Finds objects in images, given as pixels, paths, web addresses or encoded bytes, which are decoded batch by batch.
   * @throws ImageError, ArgumentError for options
   */
  override async detect(images: ImageLike | readonly ImageLike[], options: DetectFileOptions = {}): Promise<Result[]> {
    checkOptions("detect", options, FILE_OPTIONS);
    return await this.detectAll([images].flat(), (image) => read(image, options), options);
  }

  /**
   * Finds objects in images as they come, one result per image: of a camera, of `videoFrames`, of a list of paths.
   * @throws ImageError, ArgumentError for options
   */
  override stream(
    images: Iterable<ImageLike> | AsyncIterable<ImageLike>,
    options: DetectFileOptions = {},
  ): AsyncGenerator<Result, void> {
    checkOptions("stream", options, FILE_OPTIONS);
    return this.detectEach(images, (image) => read(image, options), options);
  }

  /** Writes the weights into a file, in one piece or not at all. */
  async saveFile(path: string): Promise<void> {
    await writeFileAtomic(path, await this.save());
  }
}

const FILE_OPTIONS: OptionRules<DetectFileOptions> = { ...DETECT_OPTIONS, maxPixels: whole(1) };

const read = (image: ImageLike, { maxPixels, signal }: DetectFileOptions) =>
  typeof image === "string" || image instanceof Uint8Array ? readImage(image, { maxPixels, signal }) : image;

/** `DetectOptions` for images that must be decoded. */
export interface DetectFileOptions extends DetectOptions, Pick<DecodeOptions, "maxPixels"> {}

/** Pixels, a path, a web address, or the bytes of an encoded image. */
export type ImageLike = RgbImage | string | Uint8Array;
