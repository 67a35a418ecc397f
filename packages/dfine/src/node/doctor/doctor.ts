import { PRESET_NAMES, type PresetName } from "../../config/config.ts";
import { presetConfig } from "../../config/presets.ts";
import { type Change, type Fault, findFaults, mendFaults } from "../../doctor/check.ts";
import { CHECKS } from "../../doctor/checks.ts";
import type { PartSource } from "../../doctor/survey.ts";
import { type Survey, SurveyPart } from "../../doctor/surveyPart.ts";
import { ARCHITECTURES } from "../../model/architectures.ts";
import * as rule from "../../optionRules.ts";
import type { DataFiles } from "../datasets.ts";
import { checkNewFolder } from "../newFolder.ts";
import { lookAtImages } from "./lookAtImages.ts";
import { readParts } from "./readParts.ts";
import { checkFixable, writeFixed } from "./writeFixed.ts";

/** What `doctor` is to know and to do. */
export interface DoctorOptions {
  /** Input of the network that is to be trained, [height, width] in pixels. Default 640 x 640. */
  readonly size?: readonly [number, number] | undefined;
  /** The model that is to be trained. Default "n". */
  readonly model?: PresetName | undefined;
  /** Largest image that is read, width times height. Default 100 million. */
  readonly maxPixels?: number | undefined;
  /** Whether to look into image files, in place of only for them. Default true. */
  readonly images?: boolean | undefined;
  /** New folder for a corrected copy. Default: none is made. */
  readonly fix?: string | undefined;
  /** Called after each image with how many of how many are done. */
  readonly onProgress?: ((what: "reading images" | "writing images", done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

const OPTIONS: rule.OptionRules<DoctorOptions> = {
  ...{ size: rule.listOf(2, 1), model: rule.oneOf(PRESET_NAMES), maxPixels: rule.whole(1), images: rule.flag },
  ...{ fix: rule.text, onProgress: rule.callable, signal: rule.abortSignal },
};

/** What is wrong with a data set. */
export interface Diagnosis {
  /** Most severe first. */
  readonly faults: readonly Fault[];
  readonly parts: readonly { name: string; annotations: string; images: number; objects: number; classes: number }[];
  /** The corrected copy, where one was made. */
  readonly fixed?: {
    /** Its data.yaml. */
    readonly data: string;
    readonly changes: readonly Change[];
    /** What is left in it, which nobody can mend without knowing more; places are those in the data. */
    readonly faults: readonly Fault[];
  };
}

/**
 * Finds out what is wrong with a data set: a place that `loadData` reads, or pairs of image folders and COCO files.
 * What a reader would refuse is a fault among others. With `fix` it writes a corrected copy too; the data stays as it is.
 * @throws DatasetError for a `fix` that is no new folder, or where nothing would be left; FileWriteError; ArgumentError for
 * options; the signal's reason
 */
export async function doctor(data: string | DataFiles, options: DoctorOptions = {}): Promise<Diagnosis> {
  rule.checkOptions("doctor", options, OPTIONS);
  const { fix, signal, maxPixels = 100_000_000, images: read = true } = options;
  if (fix !== undefined) await checkNewFolder(fix, typeof data === "string" ? data : undefined);
  const sources = await readParts(typeof data === "string" ? { data } : data);
  const total = sources.reduce((sum, { images }) => sum + images.length, 0);
  const counter = (what: "reading images" | "writing images") => {
    let done = 0;
    return () => options.onProgress?.(what, ++done, total);
  };
  const onImage = counter("reading images");
  for (const source of sources) await lookAtImages(source, { maxPixels, read, signal, onImage });
  const survey = surveyOf(sources, options);
  const faults = findFaults(survey, CHECKS);
  const parts = survey.parts.map(({ name, source, index }) => ({
    ...{ name, annotations: source.file, images: index.images.length },
    ...{ objects: index.objects.length, classes: index.categories.length },
  }));
  if (fix === undefined) return { faults, parts };
  const changes = mendFaults(survey, CHECKS);
  checkFixable(survey);
  const written = await writeFixed(survey, fix, { signal, onImage: counter("writing images") });
  return { faults, parts, fixed: { data: written, changes, faults: findFaults(survey, CHECKS) } };
}

function surveyOf(sources: readonly PartSource[], { size = [640, 640], model = "n" }: DoctorOptions): Survey {
  const { levels, queries } = ARCHITECTURES.plan(presetConfig(model, "custom").model).facts();
  // The coarsest map has a cell for 32 pixels, each finer one for half of that.
  return { parts: sources.map((source) => new SurveyPart(source)), size, queries, stride: 32 / 2 ** (levels - 1) };
}
