import { readNamed } from "@dfine/nn";
import { ArgumentError, type Backend, OwnershipError, Random, withBackend } from "@dfine/tensor";
import { anonymousNames } from "./checkpoint/classNames.ts";
import { fetchBytes } from "./checkpoint/fetch.ts";
import { loadCheckpoint } from "./checkpoint/fit.ts";
import { writeModelFile } from "./checkpoint/modelFile.ts";
import { identifyCheckpoint, readCheckpoint } from "./checkpoint/open.ts";
import type { PresetName } from "./config/config.ts";
import { resolveConfig } from "./config/resolve.ts";
import { type RgbImage, rgbImage } from "./data/image.ts";
import { toInputs } from "./data/inputFit.ts";
import { counted } from "./describe.ts";
import {
  CREATE_OPTIONS,
  type CreateOptions,
  DETECT_OPTIONS,
  type DetectOptions,
  type DFineOptions,
  IMAGE,
  PRETRAINED_OPTIONS,
  type PretrainedOptions,
  type SaveOptions,
  WEIGHTS,
} from "./detectorOptions.ts";
import { type ResolvedDevice, resolveDevice } from "./device.ts";
import { type RefinedObject, refinedObjects } from "./distributions.ts";
import { buildDetector, checkInputSize, type ModelConfig } from "./model/architectures.ts";
import type { Detector } from "./model/detector.ts";
import * as rule from "./optionRules.ts";
import {
  detectionsOf,
  modelPredictor,
  type PredictionReader,
  type Predictor,
  type PredictorInput,
  predictionReader,
} from "./predictor.ts";
import { type Result, toResult, USUAL_THRESHOLD } from "./result.ts";
import { tensorSources } from "./tensorFile.ts";

/**
 * A D-FINE detector: `using detector = await DFine.fromPretrained(bytes)`, then `detector.detect(images)`. Training is
 * `Trainer`'s, whose weights `fromPretrained` opens.
 */
export class DFine implements Disposable {
  readonly model: Detector<ModelConfig>;
  readonly preset: PresetName;
  /** Network input [height, width]. */
  readonly size: readonly [number, number];
  /** The score of the best F1 in the evaluation of these weights, where their file tells it. */
  readonly bestThreshold: number | undefined;
  readonly #device: ResolvedDevice;
  #deployed: Detector | undefined;
  #reader: PredictionReader | undefined;
  #predictor: Predictor | undefined;
  #isDisposed = false;

  protected constructor(
    device: ResolvedDevice,
    parts: Pick<DFine, "model" | "preset"> & {
      readonly size?: DFine["size"] | undefined;
      readonly bestThreshold?: number | undefined;
    },
  ) {
    this.#device = device;
    this.model = parts.model.eval();
    this.preset = parts.preset;
    this.bestThreshold = parts.bestThreshold;
    this.size = parts.size ?? parts.model.config.evalSize;
    checkInputSize(parts.model.config, this.size);
  }

  /** A detector with first weights, as training starts from. @throws ConfigError, DeviceError, ArgumentError for options */
  static async create(options: CreateOptions): Promise<DFine> {
    rule.checkOptions("DFine.create", options, CREATE_OPTIONS);
    const { model: preset = "n", classes, size } = options;
    const names = typeof classes === "number" ? anonymousNames(classes) : [...classes];
    const config = resolveConfig({ preset, model: { classes: names, evalSize: size && [...size] } });
    const random = new Random(options.seed ?? 0).fork("weights");
    return await onDevice(options, (device) => {
      const model = withBackend(device.backend, () => buildDetector(config.model).initialize(random));
      // `this`, so that a subclass makes detectors of its own kind.
      return new this(device, { model, preset });
    });
  }

  /**
   * Opens weights, given as bytes or by their web address: a .pth of the official trainer, safetensors of Hugging Face, or
   * what `save` or `dfine train` wrote. Preset, classes and size are the file's. `file` names bytes in messages.
   * @throws ModelFileError, SafetensorsError, DeviceError, ArgumentError for options
   */
  static async fromPretrained(weights: Uint8Array | string, options: PretrainedOptions = {}): Promise<DFine> {
    rule.checkOptions("DFine.fromPretrained", options, PRETRAINED_OPTIONS);
    rule.checkValue("DFine.fromPretrained", "weights", weights, WEIGHTS);
    const isAddress = typeof weights === "string";
    const bytes = isAddress ? await fetchBytes(weights, options) : weights;
    const about = isAddress ? { ...options, file: weights } : options;
    const checkpoint = identifyCheckpoint(readCheckpoint(bytes, about), about);
    return await onDevice(options, async (device) => {
      const model = withBackend(device.backend, () => buildDetector(checkpoint.model));
      try {
        await loadCheckpoint(model, checkpoint);
        // `this`, so that a subclass makes detectors of its own kind.
        const { preset, threshold: bestThreshold } = checkpoint;
        return new this(device, { model, preset, size: options.size, bestThreshold });
      } catch (error) {
        model.dispose();
        throw error;
      }
    });
  }

  get backend(): Backend {
    return this.#device.backend;
  }
  /** Class names by class id. */
  get names(): readonly string[] {
    return this.model.config.classes;
  }
  /** The lowest score that is reported where a call does not say it: the best one, or 0.5. */
  get threshold(): number {
    return this.bestThreshold ?? USUAL_THRESHOLD;
  }
  /** Detections of prepared batches, for evaluation. */
  get predictor(): Predictor {
    if (this.#isDisposed) throw disposed();
    this.#predictor ??= detectionsOf(this.model.config, this.#read);
    return this.#predictor;
  }

  /** The same from the form of training, with the detections of every decoder layer. */
  get layerPredictor(): Predictor {
    const predict = modelPredictor(this.model, this.backend, { everyLayer: true });
    return (input, signal) => this.#alive(() => predict(input, signal));
  }

  /** Reads what the model's deploy form predicts, which is made when it is first asked. */
  readonly #read: PredictionReader = (...given) =>
    this.#alive(() => {
      this.#deployed ??= withBackend(this.backend, () => this.model.deploy());
      this.#reader ??= predictionReader(this.#deployed, this.backend);
      return this.#reader(...given);
    });

  /** @throws OwnershipError where the detector was disposed before the call ended */
  async #alive<T>(call: () => Promise<T>): Promise<T> {
    try {
      if (!this.#isDisposed) return await call();
    } catch (error) {
      throw this.#isDisposed ? disposed(error) : error;
    }
    throw disposed();
  }

  /**
   * Finds objects in images, one result per image. They come to the network's size as in training. Calls may
   * overlap.
   * @throws RangeError for pixels that do not fit the size, ArgumentError for options
   */
  async detect(images: RgbImage | readonly RgbImage[], options: DetectOptions = {}): Promise<Result[]> {
    rule.checkOptions("detect", options, DETECT_OPTIONS);
    return await this.detectAll([images].flat(), (image) => image, options);
  }

  /**
   * Finds objects in images as they come, one result per image, `batch` of them at a time: frames of a camera or a video.
   * @throws RangeError for pixels that do not fit the size, ArgumentError for options
   */
  stream(
    images: Iterable<RgbImage> | AsyncIterable<RgbImage>,
    options: DetectOptions = {},
  ): AsyncGenerator<Result, void> {
    rule.checkOptions("stream", options, DETECT_OPTIONS);
    return this.detectEach(images, (image) => image, options);
  }

  /** The results of `detectEach`. */
  protected async detectAll<T>(...given: Parameters<typeof this.detectEach<T>>): Promise<Result[]> {
    const results: Result[] = [];
    for await (const result of this.detectEach(...given)) results.push(result);
    return results;
  }

  /** Detections in images that `read` gives, batch by batch: no more than one batch of them is held. */
  protected async *detectEach<T>(
    source: Iterable<T> | AsyncIterable<T>,
    read: (image: T) => RgbImage | Promise<RgbImage>,
    options: DetectOptions,
  ): AsyncGenerator<Result, void> {
    const { threshold = this.threshold, maxDetections = 300, batch = 4, signal } = options;
    const { predictor } = this;
    let first = 0;
    for await (const some of batchesOf(source, batch)) {
      signal?.throwIfAborted();
      const group = await Promise.all(some.map(read));
      const found = await predictor(this.#input(group, first), signal);
      for (const [i, detections] of found.entries()) {
        const { width, height } = group[i]!;
        yield toResult(detections, { width, height, names: this.names, threshold, maxDetections });
      }
      first += group.length;
    }
  }

  /**
   * Objects in an image with how their boxes came about: first boxes, and the distributions that moved their edges.
   * @throws ConfigError for a model whose edges are no distributions, RangeError, ArgumentError for options
   */
  async distributions(image: RgbImage, options: DetectOptions = {}): Promise<RefinedObject[]> {
    rule.checkOptions("distributions", options, DETECT_OPTIONS);
    const { threshold = this.threshold, maxDetections = 300, signal } = options;
    const { model, names } = this;
    const { width, height } = image;
    const about = { model, names, width, height, threshold, maxDetections, signal };
    return await refinedObjects(this.#read, this.#input([image]), about);
  }

  /** Images as the network takes them; `first` is the number of the first, for messages. */
  #input(group: readonly RgbImage[], first = 0): PredictorInput {
    const { resize } = this.model.config;
    const images = group.map((given, i) => {
      rule.checkValue("detect", `image ${first + i}`, given, IMAGE);
      return rgbImage(given.width, given.height, given.data);
    });
    const origSizes = images.map((image) => [image.width, image.height] as const);
    return { ...toInputs(images, this.size, resize), origSizes, resize };
  }

  /**
   * The weights as a file that `fromPretrained` opens, with names of the classes and the best threshold, given or as
   * they were known.
   * @throws ArgumentError for another number of names than of classes
   */
  async save({ threshold = this.bestThreshold, names = this.names }: SaveOptions = {}): Promise<Uint8Array> {
    const { model, preset } = this;
    if (names.length !== this.names.length)
      throw new ArgumentError(
        `save: names has ${counted(names.length, "name")}, but the weights have ${this.names.length} classes. Give one name for each class.`,
      );
    const description = { preset, model: { ...model.config, classes: [...names] }, threshold };
    return await this.#alive(async () =>
      writeModelFile(tensorSources(await readNamed(model.stateDict())), description),
    );
  }

  /** Frees the weights, and the backend if it was made here. Calls that have not ended reject. */
  dispose(): void {
    this.#isDisposed = true;
    this.#deployed?.dispose();
    this.model.dispose();
    this.#device[Symbol.dispose]();
  }
  /** Same as `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Groups of `size` of what comes; the last has the rest. */
async function* batchesOf<T>(source: Iterable<T> | AsyncIterable<T>, size: number): AsyncGenerator<T[]> {
  let batch: T[] = [];
  for await (const one of source) {
    batch.push(one);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

const disposed = (cause?: unknown) => new OwnershipError("DFine: this detector was disposed", { cause });

/** Makes something on the device that the options name; a backend made for it goes again when that fails. */
async function onDevice<T>(options: DFineOptions, make: (device: ResolvedDevice) => T | Promise<T>): Promise<T> {
  const device = await resolveDevice(options.device ?? "auto", options);
  try {
    return await make(device);
  } catch (error) {
    device[Symbol.dispose]();
    throw error;
  }
}
