import { FETCH_OPTIONS, type FetchOptions } from "./checkpoint/fetch.ts";
import { CHECKPOINT_OPTIONS, type CheckpointOptions } from "./checkpoint/open.ts";
import { PRESET_NAMES, type PresetName } from "./config/config.ts";
import { DEVICE_OPTIONS, type Device, type DeviceOptions } from "./device.ts";
import * as rule from "./optionRules.ts";

/** Where a detector runs and at which size. */
export interface DFineOptions extends DeviceOptions {
  /** Default "auto". A backend given here stays the caller's. */
  readonly device?: Device;
  /** Network input [height, width], multiples of 32; default: the model's. */
  readonly size?: readonly [number, number] | undefined;
}

const DFINE_OPTIONS: rule.OptionRules<DFineOptions> = {
  ...DEVICE_OPTIONS,
  device: { takes: "a name or a backend", fits: (value) => rule.text.fits(value) || rule.someBackend.fits(value) },
  size: rule.listOf(2, 1),
};

/** How weights are opened. */
export interface PretrainedOptions extends DFineOptions, CheckpointOptions, FetchOptions {}

export const PRETRAINED_OPTIONS: rule.OptionRules<PretrainedOptions> = {
  ...{ ...DFINE_OPTIONS, ...CHECKPOINT_OPTIONS, ...FETCH_OPTIONS },
};

/** What a new detector is. */
export interface CreateOptions extends DFineOptions {
  readonly model?: PresetName;
  /** Class names, or how many classes there are. */
  readonly classes: readonly string[] | number;
  /** Chooses the initial weights; default 0. */
  readonly seed?: number;
}

/** More than any data set has. */
const MOST_CLASSES = 100_000;
export const CREATE_OPTIONS: rule.OptionRules<CreateOptions> = {
  ...{ ...DFINE_OPTIONS, model: rule.oneOf(PRESET_NAMES), seed: rule.whole(0) },
  classes: rule.needed({
    takes: `a list of names, or how many there are, up to ${MOST_CLASSES}`,
    fits: (value) => rule.texts.fits(value) || (rule.whole(1).fits(value) && (value as number) <= MOST_CLASSES),
  }),
};

/** What is reported of what was found. */
export interface DetectOptions {
  /** Lowest score reported; default: the best threshold of the weights, where they tell it, or 0.5. */
  readonly threshold?: number;
  /** Most objects per image; default 300. */
  readonly maxDetections?: number;
  /** Images that go through the network together; default 4. More take more memory, and change no result. */
  readonly batch?: number;
  /** Ends the detection before the next batch, with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** What a file is told besides the weights. */
export interface SaveOptions {
  /** Score from which on detections count; default: the best threshold of the weights, where they tell it. */
  readonly threshold?: number | undefined;
  /** A name for each class; default: those of the weights. */
  readonly names?: readonly string[] | undefined;
}

export const WEIGHTS: rule.OptionRule = {
  takes: "their bytes (a Uint8Array) or web address",
  fits: (value) => typeof value === "string" || value instanceof Uint8Array,
};
export const IMAGE: rule.OptionRule = { ...rule.thing, takes: "pixels as { width, height, data }" };
export const DETECT_OPTIONS: rule.OptionRules<DetectOptions> = {
  ...{ threshold: rule.between(0, 1), maxDetections: rule.whole(1), batch: rule.whole(1), signal: rule.abortSignal },
};
