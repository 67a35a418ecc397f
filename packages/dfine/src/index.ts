/**
 * D-FINE object detection: model, losses, training, COCO evaluation. Runs in Node and in browsers.
 * @module dfine
 */

export { type BackboneWeights, loadBackbone, openBackbone } from "./checkpoint/backbone.ts";
export { ModelFileError } from "./checkpoint/errors.ts";
export { exportHuggingFace, exportSafetensors, type HuggingFaceFiles } from "./checkpoint/exportWeights.ts";
export type { DownloadProgress, FetchOptions } from "./checkpoint/fetch.ts";
export { type FitReport, loadCheckpoint, type TensorChange } from "./checkpoint/fit.ts";
export { fitLines } from "./checkpoint/fitText.ts";
export { huggingFaceNames, officialName } from "./checkpoint/huggingFaceNames.ts";
export { type ModelDescription, writeModelFile } from "./checkpoint/modelFile.ts";
export {
  type Checkpoint,
  type CheckpointFormat,
  type CheckpointOptions,
  type ClassNameSource,
  openCheckpoint,
} from "./checkpoint/open.ts";
export type { TrainingFacts, WeightSet, WeightsFile } from "./checkpoint/pth.ts";
export { type Complexity, complexityOf } from "./complexity.ts";
export { COCO_CATEGORY_IDS, COCO_CLASSES } from "./config/cocoClasses.ts";
export {
  type Config,
  ConfigError,
  type CriterionConfig,
  type MatcherConfig,
  type ModelConfig,
  PRESET_NAMES,
  type PresetName,
  RECIPE_NAMES,
  type RecipeName,
  TASK_NAMES,
  type TaskName,
  type TrainConfig,
} from "./config/config.ts";
export type { Methods } from "./config/criteria.ts";
export type { DFinePresetName } from "./config/names.ts";
export { type ConvertedConfig, convertOfficial, mergeOfficial, type OfficialTree } from "./config/officialConfig.ts";
export { presetConfig } from "./config/presets.ts";
export { type ConfigOptions, resolveConfig } from "./config/resolve.ts";
export {
  type AnotherSample,
  AUGMENTATION_RECIPES,
  type AugmentationConfig,
  type AugmentationList,
  augmenter,
} from "./data/augment/augmentations.ts";
export { flipImage } from "./data/augment/flip.ts";
export type { Augment, Draws, Sample } from "./data/augment/sample.ts";
export type { CocoJson, CocoJsonAnnotation, CocoJsonImage } from "./data/cocoJson.ts";
export { adjustBrightness, adjustContrast, adjustHue, adjustSaturation } from "./data/color.ts";
export type { CocoAnnotation, CocoCategory, CocoDataset, CocoImage } from "./data/dataset.ts";
export { DatasetError, ImageError } from "./data/errors.ts";
export type { DatasetFacts } from "./data/facts.ts";
export { createImage, type RgbImage, rgbImage, toTensorData } from "./data/image.ts";
export { RESIZES, type Resize, toInput } from "./data/inputFit.ts";
export { type PageImage, toRgbImage } from "./data/pageImage.ts";
export { cocoDataset, parseCoco } from "./data/parseCoco.ts";
export { resizeBilinear } from "./data/resize.ts";
export { type Targets, type TrainingTargets, type TrainingTargetsOptions, trainingTargets } from "./data/targets.ts";
export type { CreateOptions, DetectOptions, DFineOptions, PretrainedOptions, SaveOptions } from "./detectorOptions.ts";
export {
  DEVICE_NAMES,
  type Device,
  DeviceError,
  type DeviceName,
  type DeviceOptions,
  resolveBackend,
} from "./device.ts";
export { DFine } from "./dfine.ts";
export { EDGES, type Edge, type EdgeDistribution, type RefinedObject } from "./distributions.ts";
export {
  type CategoryResult,
  type CocoResult,
  type EvaluateDetectionsOptions,
  evaluateDetections,
} from "./evaluation/cocoEval.ts";
export { type CocoStatName, cocoStats, formatCocoStats } from "./evaluation/cocoStats.ts";
export {
  type ConfidenceCurve,
  type ConfidenceCurves,
  type ConfidencePoint,
  confidenceCurves,
} from "./evaluation/confidence.ts";
export { type ConfusionMatrix, confusionMatrix } from "./evaluation/confusion.ts";
export { type Detection, parseDetections, toCocoResults } from "./evaluation/detections.ts";
export { type Explanation, explainDetections } from "./evaluation/explain.ts";
export {
  FALSE_NEGATIVES,
  FALSE_POSITIVES,
  type FalseNegative,
  type FalseNegativeKind,
  type FalsePositive,
  type FalsePositiveKind,
  findMistakes,
  type Mistakes,
  type MistakesOptions,
} from "./evaluation/mistakes.ts";
export { ExportError } from "./exportError.ts";
export { type Assignment, linearSumAssignment } from "./loss/assignment.ts";
export { type CriterionResult, criterion } from "./loss/criterion.ts";
export { goUnion } from "./loss/goUnion.ts";
export type { CriterionOptions } from "./loss/lossTerms.ts";
export { hungarianMatch, type Matchable, type MatcherOptions } from "./loss/matcher.ts";
export type { Floats, MatchedPairs, MatchTargets } from "./loss/matches.ts";
export { buildDetector } from "./model/architectures.ts";
export { type DenoisingOptions, denoisingQueries } from "./model/denoising.ts";
export { type ClassRows, Detector, type DetectorConfig } from "./model/detector.ts";
export type { DetrConfig } from "./model/detr/detrConfig.ts";
export type { DFineConfig } from "./model/dfineConfig.ts";
export { DFineModel } from "./model/dfineModel.ts";
export type {
  DenoisingDraws,
  DenoisingOutputs,
  DenoisingQueries,
  ForwardOptions,
  LearnedWeighting,
  PredictionSet,
  Predictions,
  Tap,
  TrainingOutputs,
} from "./model/outputs.ts";
export type { Backbone, Decoder, DecoderInput, Encoder } from "./model/parts.ts";
export { type WeightingParameters, weightingFunction } from "./model/weighting.ts";
export { exportOnnx, type OnnxOptions } from "./onnx/exportOnnx.ts";
export { type Detections, postprocess, type RawDetections } from "./postprocess.ts";
export { modelPredictor, type PredictedImage, type Predictor, type PredictorInput } from "./predictor.ts";
export { type Box, type DetectedObject, Result, type ResultImage } from "./result.ts";
export type { BatchesOptions, BatchSource, TrainData, TrainingBatch } from "./train/batch.ts";
export { type BestState, bestInMemory } from "./train/bestState.ts";
export { BatchError } from "./train/checkBatch.ts";
export { type EvaluateOptions, type Evaluation, evaluate } from "./train/evaluate.ts";
export type { EpochEvent, RecoveryEvent, StageEvent, StepEvent, TrainEvent } from "./train/events.ts";
export { type LargestBatchOptions, largestBatch, type TriedBatch } from "./train/largestBatch.ts";
export { type TrainLoopOptions, trainLoop } from "./train/loop.ts";
export { NonFiniteError, type NonFiniteReport, NonFiniteWeightsError } from "./train/nonFinite.ts";
export { OVERFIT, type OverfitOptions, type OverfitResult, overfit } from "./train/overfit.ts";
export type { TrainProgress } from "./train/progress.ts";
export type { LearnedFrom } from "./train/stateFile.ts";
export { Trainer } from "./train/trainer.ts";
export type { CreateTrainerOptions, TrainerOptions } from "./train/trainerOptions.ts";
export type { StepResult } from "./train/trainStep.ts";
export type { PassCost } from "./train/trialPass.ts";
