import type { SafetensorsEntry } from "@dfine/nn";
import type * as z from "zod";
import { dfineOfFile, type FileFacts } from "../checkpoint/dfineFile.ts";
import type { Detector } from "./detector.ts";
import {
  brokenDetrRules,
  checkDetrInput,
  DETR_PARTS,
  type DetrConfig,
  detrSchema,
  detrTokens,
  planDetr,
} from "./detr/detrConfig.ts";
import { DetrModel } from "./detr/detrModel.ts";
import {
  backboneLevels,
  brokenModelRules,
  checkDFineInput,
  coarsestStride,
  DFINE_PARTS,
  type DFineConfig,
  dfineSchema,
  tokenCount,
} from "./dfineConfig.ts";
import { DFineModel } from "./dfineModel.ts";
import { choiceTable, type Row } from "./parts.ts";

type AnyConfig = DFineConfig | DetrConfig;

/** A detector whose configuration is known. */
interface Blueprint {
  /** What does not go together among values that are each all right, for messages. */
  readonly problems: () => string[];
  readonly build: () => Detector<AnyConfig>;
  /** @throws ConfigError for images of a height and width, pixels, that the detector cannot take */
  readonly checkInputSize: (size: readonly [number, number]) => void;
  /** The backbone and its levels, the coarsest stride of all, queries, and tokens that they are chosen from. */
  readonly facts: () => { backbone: string; levels: number; stride: number; queries: number; tokens: number };
  /** The configuration with what a file tells of. @throws ModelFileError where that is not enough */
  readonly ofFile: (entries: ReadonlyMap<string, SafetensorsEntry>, about: FileFacts) => AnyConfig;
}

const dfine: Row<typeof dfineSchema, Blueprint> = {
  schema: dfineSchema,
  plan: (config) => ({
    problems: () => brokenModelRules(config),
    build: () => new DFineModel(config),
    checkInputSize: (size) => checkDFineInput(config, size),
    facts: () => ({
      backbone: config.backbone.type,
      levels: backboneLevels(config).length,
      stride: coarsestStride(config),
      queries: config.decoder.numQueries,
      tokens: tokenCount(config, config.evalSize),
    }),
    ofFile: (entries, about) => dfineOfFile(config, entries, about),
  }),
};

const detr: Row<typeof detrSchema, Blueprint> = {
  schema: detrSchema,
  plan: (config) => ({
    problems: () => brokenDetrRules(config),
    build: () => new DetrModel(config),
    checkInputSize: (size) => checkDetrInput(config, size),
    facts: () => {
      const { levels, maps } = planDetr(config);
      const tokens = detrTokens(levels, config.evalSize);
      const { stride } = levels.at(-1)!;
      return { backbone: config.backbone.type, levels: maps.length, stride, queries: config.queries.count, tokens };
    },
    ofFile: (_, { size }) => ({ ...config, evalSize: size ? [size[0], size[1]] : config.evalSize }),
  }),
};

/** The detectors that there are, by `model.architecture`. */
export const ARCHITECTURES = choiceTable("architecture", { dfine, detr }, "dfine");

/** The architecture: everything that fixes the names and shapes of the weights and the forward pass. */
export type ModelConfig = z.output<typeof ARCHITECTURES.schema>;

/** The parts of each that there is a choice of, by their keys in the model's configuration. */
export const PARTS = { dfine: DFINE_PARTS, detr: DETR_PARTS };

/** A detector without weights, on the current backend. */
export const buildDetector = (config: ModelConfig): Detector<ModelConfig> => ARCHITECTURES.plan(config).build();

/**
 * Makes sure that a detector takes images of this height and width, pixels.
 * @throws ConfigError with the nearest size that suits
 */
export const checkInputSize = (config: ModelConfig, size: readonly [number, number]): void =>
  ARCHITECTURES.plan(config).checkInputSize(size);
