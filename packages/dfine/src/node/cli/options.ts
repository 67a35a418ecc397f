import { closest } from "@dfine/tensor";
import { type Command, InvalidArgumentError, Option } from "commander";
import { PRESET_NAMES } from "../../config/config.ts";
import { DEVICE_NAMES, type DeviceName } from "../../device.ts";
import type { DataFiles } from "../datasets.ts";
import { RELEASE_NAMES } from "../weights/releases.ts";
import { UsageError } from "./exit.ts";
import type { TerminalOptions } from "./terminal.ts";

/** A reader of numbers from `least` on that `fits` accepts. */
const reader =
  (advice: string, least: number, fits: (value: number) => boolean) =>
  (text: string): number => {
    const value = Number(text);
    if (text.trim() === "" || !fits(value) || value < least) throw new InvalidArgumentError(advice);
    return value;
  };

export const wholeNumber = (least: number) =>
  reader(`Give a whole number from ${least} on.`, least, Number.isSafeInteger);
export const positiveNumber = reader("Give a number that is not negative, such as 4e-4.", 0, Number.isFinite);
const port = reader(
  "Give a port from 0 (any free one) to 65535.",
  0,
  (value) => Number.isInteger(value) && value <= 65_535,
);
export const share = reader("Give a number from 0 to 1.", 0, (value) => value <= 1);

/** A reader of one of `names`; another word is answered with the nearest of them. */
export const oneOf =
  <Name extends string>(names: readonly Name[]) =>
  (text: string): Name => {
    const found = names.find((name) => name === text);
    if (found !== undefined) return found;
    const meant = closest(text, names);
    throw new InvalidArgumentError(
      `Choose one of ${names.join(", ")}.${meant === undefined ? "" : ` Did you mean ${meant}?`}`,
    );
  };

export const properShare = reader(
  "Give a number between 0 and 1, such as 0.1.",
  Number.MIN_VALUE,
  (value) => value < 1,
);

/** Reads `320` or `320x480` (height x width) as [height, width]. */
export function inputSize(text: string): [number, number] {
  const sides = text.split("x").map(wholeNumber(1));
  const [height, width = height] = sides;
  if (height === undefined || width === undefined || sides.length > 2)
    throw new InvalidArgumentError("Give one side, or HEIGHTxWIDTH, such as 320 or 320x480.");
  return [height, width];
}

/** Gives a command its options, in the order of its help. */
export function addTo(command: Command, options: readonly Option[]): void {
  for (const option of options) command.addOption(option);
}

export const parsed = <T>(flags: string, text: string, parse: (text: string) => T) =>
  new Option(flags, text).argParser(parse);
/** Several of `names`, with commas between. */
export const listOf = <Name extends string>(flags: string, text: string, names: readonly Name[]) =>
  parsed(flags, `${text} (choices: ${names.join(", ")})`, (given) => given.split(",").map((one) => oneOf(names)(one)));
export const model = (text: string) => new Option("--model <preset>", text).choices(PRESET_NAMES);
export const weights = (text: string) => new Option("--weights <weights>", text);
const WEIGHTS = "a file (.pth, Hugging Face or our own), the folder that has it, a web address";
export const ema = () => new Option("--no-ema", "the weights of training of a .pth, instead of their average (EMA)");
export const size = (text: string) => parsed("--size <size>", text, inputSize);
export const batch = (text: string) => parsed("--batch <images>", text, wholeNumber(1));
/** A number of images, or what fits. */
export const batchOrAuto = (text: string) =>
  parsed("--batch <images>", text, (given) => (given === "auto" ? given : wholeNumber(1)(given)));
export const maxPixels = () =>
  parsed(
    "--max-pixels <count>",
    "largest image that is read, width times height (default: 100 million)",
    wholeNumber(1),
  );
export const loader = () => [
  parsed("--workers <count>", "threads that prepare images (default: one, more on large machines)", wholeNumber(0)),
  parsed("--cache <megabytes>", "memory for images that are kept decoded (default: 512)", wholeNumber(0)),
];
/** Where a command shows its report while it works. */
const SERVE_PORT = 8420;
export const servePort = () =>
  parsed(
    "--serve [port]",
    `show the report while it goes on, on this machine alone (default port: ${SERVE_PORT})`,
    port,
  ).preset(SERVE_PORT);
/** Of commands that use weights. */
export const detector = () => [
  weights(`${WEIGHTS}, or a name: ${RELEASE_NAMES.join(", ")}`).makeOptionMandatory(),
  ema(),
  size("input size in pixels (default: the one in the weights)"),
];

export interface DeviceOptionValues {
  readonly device: DeviceName;
  readonly threads?: number;
  readonly wide?: "auto" | "off";
  readonly deterministic?: boolean;
}

export interface DetectorOptionValues extends DeviceOptionValues, OutputOptionValues {
  readonly weights: string;
  readonly ema: boolean;
  readonly size?: [number, number];
  readonly batch: number;
  readonly maxPixels?: number;
}

export interface OutputOptionValues extends TerminalOptions {
  readonly out: string;
  readonly name?: string;
}
export const talk = () => [
  new Option("--json", "print results as JSON on standard output").default(false),
  new Option("--quiet", "no progress, results only").default(false),
];
/** Of commands that compute. */
export const device = () => [
  new Option("--device <device>", "where to compute").choices(DEVICE_NAMES).default("auto"),
  parsed("--threads <count>", "threads of the CPU (default: one per core)", wholeNumber(1)),
  new Option("--wide <when>", "kernels of twice the width on the CPU: where it has them, or never").choices([
    "auto",
    "off",
  ]),
  new Option("--deterministic", "kernels of a GPU by fixed rules, whatever dfine tune or an earlier run measured"),
];
/** Of commands that compute and make a run folder. */
export const run = () => [
  ...device(),
  new Option("--out <folder>", "where run folders go").default("runs"),
  new Option("--name <name>", "name of the run folder; numbered when it is taken"),
  ...talk(),
];

export type DataOptionValues = Readonly<
  Partial<Record<"data" | "images" | "annotations" | "valImages" | "valAnnotations", string>> & { valSplit?: number }
>;
export const data = () =>
  new Option("--data <path>", "a data.yaml, a COCO .json, or a folder as tools export it: COCO, YOLO, PASCAL VOC");
export const valSplit = () =>
  parsed("--val-split <share>", "share of the training images to set aside for validation, as 0.1", properShare);
export const trainData = () => [
  data(),
  valSplit(),
  new Option("--images <folder>", "training images"),
  new Option("--annotations <file>", "their COCO annotations"),
  new Option("--val-images <folder>", "validation images"),
  new Option("--val-annotations <file>", "their COCO annotations"),
];
export const valData = () => [
  data(),
  new Option("--images <folder>", "images"),
  new Option("--annotations <file>", "their COCO annotations"),
];

/** Both or none of a folder and its annotations. @throws UsageError */
function pair(images: string | undefined, annotations: string | undefined, prefix: string) {
  if (images === undefined && annotations === undefined) return undefined;
  if (images === undefined)
    throw new UsageError(`--${prefix}annotations needs --${prefix}images, the folder of its images`);
  if (annotations === undefined)
    throw new UsageError(`--${prefix}images needs --${prefix}annotations, a COCO instances file`);
  return { images, annotations };
}

/** The data files of `train`, or of `val`, whose images are its validation part. @throws UsageError */
export function dataFiles(values: DataOptionValues, command: "train" | "val"): DataFiles {
  const main = pair(values.images, values.annotations, "");
  const val = pair(values.valImages, values.valAnnotations, "val-");
  const share = values.valSplit === undefined ? {} : { valSplit: values.valSplit };
  if (values.data !== undefined) {
    if (main || val) throw new UsageError("give either --data or --images and --annotations, not both");
    return { data: values.data, ...share };
  }
  if (!main)
    throw new UsageError(
      "no data: give --data with a data.yaml or a folder, or --images FOLDER --annotations FILE.json",
    );
  return command === "train" ? { train: main, val, ...share } : { val: main };
}
