import type { SafetensorsEntry } from "@dfine/nn";
import type * as z from "zod";
import { dfineOfFile, type FileFacts } from "../checkpoint/dfineFile.ts";
import type { Detector, DetectorConfig } from "./detector.ts";
import {
  backboneLevels,
  brokenModelRules,
  checkDFineInput,
  DFINE_PARTS,
  dfineSchema,
  tokenCount,
} from "./dfineConfig.ts";
import { DFineModel } from "./dfineModel.ts";
import { choiceTable, type Row } from "./parts.ts";

/** A detector whose configuration is known. */
interface Blueprint<Config extends DetectorConfig> {
  /** What does not go together among values that are each all right, for messages. */
  readonly problems: () => string[];
  readonly build: () => Detector<Config>;
  /** @throws ConfigError for images of a height and width, pixels, that the detector cannot take */
  readonly checkInputSize: (size: readonly [number, number]) => void;
  /** The backbone and its levels, queries, and tokens that they are chosen from. */
  readonly facts: () => { backbone: string; levels: number; queries: number; tokens: number };
  /** The configuration with what a file tells of. @throws ModelFileError where that is not enough */
  readonly ofFile: (entries: ReadonlyMap<string, SafetensorsEntry>, about: FileFacts) => Config;
}

const dfine: Row<typeof dfineSchema, Blueprint<z.infer<typeof dfineSchema>>> = {
  schema: dfineSchema,
  plan: (config) => ({
    problems: () => brokenModelRules(config),
    build: () => new DFineModel(config),
    checkInputSize: (size) => checkDFineInput(config, size),
    facts: () => ({
      backbone: config.backbone.type,
      levels: backboneLevels(config).length,
      queries: config.decoder.numQueries,
      tokens: tokenCount(config, config.evalSize),
    }),
    ofFile: (entries, about) => dfineOfFile(config, entries, about),
  }),
};

/** The detectors that there are, by `model.architecture`. */
export const ARCHITECTURES = choiceTable("architecture", { dfine }, "dfine");

/** The architecture: everything that fixes the names and shapes of the weights and the forward pass. @interface */
export type ModelConfig = z.output<typeof ARCHITECTURES.schema>;

/** The parts of each that there is a choice of, by their keys in the model's configuration. */
export const PARTS = { dfine: DFINE_PARTS };

/** A detector without weights, on the current backend. */
export const buildDetector = (config: ModelConfig): Detector<ModelConfig> => ARCHITECTURES.plan(config).build();

/**
 * Makes sure that a detector takes images of this height and width, pixels.
 * @throws ConfigError with the nearest size that suits
 */
export const checkInputSize = (config: ModelConfig, size: readonly [number, number]): void =>
  ARCHITECTURES.plan(config).checkInputSize(size);
