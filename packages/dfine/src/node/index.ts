/**
 * What needs Node: files, images, data sets on disk, the detector with paths.
 * @module dfine/node
 */

export type { SplitPaths } from "../data/dataYaml.ts";
export type { BatchSize } from "../data/multiScale.ts";
export type { SplitName } from "../data/splits.ts";
export type { Change, Fault, Severity } from "../doctor/check.ts";
export type { BatchesOptions } from "../train/batch.ts";
export { checkOnnx, type OnnxCheckOptions, type OnnxComparison } from "./checkOnnx.ts";
export { FileWriteError, writeFileAtomic } from "./checkpointFile.ts";
export { readConfigFile } from "./configFile.ts";
export { readCrowdHuman, readVoc } from "./convert/cocoFiles.ts";
export {
  type ConvertDataOptions,
  type ConvertedData,
  convertData,
  IMAGE_MOVES,
  WRITTEN_FORMATS,
} from "./convert/convertData.ts";
export { convertObjects365, type Objects365Options } from "./convert/objects365.ts";
export { configText, readOfficialConfig } from "./convert/officialConfig.ts";
export type { BrokenImage, BrokenImagesOptions } from "./data/brokenImages.ts";
export { checkImages } from "./data/checkImages.ts";
export type { DatasetParts, DatasetSplit, Datasets } from "./data/datasetParts.ts";
export { type DecodeOptions, decodeImage } from "./data/decode.ts";
export type { DataFormat, PartName, Recognised, WriteTarget } from "./data/formats/format.ts";
export { DATA_FORMATS } from "./data/formats.ts";
export { type LoadDataOptions, loadData } from "./data/loadData.ts";
export { type Batch, createLoader, type Loader, type LoaderOptions } from "./data/loader.ts";
export { readCoco } from "./data/readCoco.ts";
export { type LoaderResources, type TrainLoadersOptions, trainLoaders } from "./data/trainLoaders.ts";
export type { DataFiles } from "./datasets.ts";
export { type DigitsDataset, type DigitsOptions, makeDigits } from "./demo/digits.ts";
export { type DetectFileOptions, DFine, type ImageLike, type PretrainedFileOptions } from "./detector.ts";
export { type Diagnosis, type DoctorOptions, doctor } from "./doctor/doctor.ts";
export { type Drawn, drawBoxes, drawObjects, encodeImage } from "./draw.ts";
export type { Cell } from "./experiment/cells.ts";
export {
  type Experiment,
  ExperimentError,
  type ExperimentRow,
  type PaperNumbers,
  type Patch,
  type PatchTrees,
} from "./experiment/experiment.ts";
export { EXPERIMENTS, openExperiment } from "./experiment/experiments.ts";
export type { Difference, RowResult } from "./experiment/results.ts";
export { type ExperimentResult, type RunExperimentOptions, runExperiment } from "./experiment/runExperiment.ts";
export type { ResultTable } from "./experiment/writeResults.ts";
export { type MatchTrace, matchFigure } from "./figures/matchFigure.ts";
export { type RefinedPicture, refinementFigure } from "./figures/refinementFigure.ts";
export { type WeightingCurve, weightingFigure } from "./figures/weightingFigure.ts";
export { LeftOut } from "./leftOut.ts";
export { mistakePictures } from "./mistakePictures.ts";
export { type PreviewOptions, previewSheet } from "./previewSheet.ts";
export type { AnnotatedObject, Frame, GalleryImage } from "./report/gallery.ts";
export { type LiveReport, type RunEnd, ServeError, serveReport } from "./report/live.ts";
export { renderReport } from "./report/report.ts";
export type { ReportData, ReportEpoch } from "./report/reportData.ts";
export { StepCurves } from "./report/stepCurves.ts";
export type { DataPart, EstimateEvent, LeftOutEvent, RunEvent, RunSink } from "./runEvents.ts";
export { createRunFolder, openRunFolder, type RunFolder, RunFolderError } from "./runFolder.ts";
export { lockRun, type RunLock } from "./runLock.ts";
export { type LogLine, readEvents } from "./runLog.ts";
export { type RecorderOptions, RunRecorder } from "./runRecorder.ts";
export { readRun, type SavedRun } from "./runState.ts";
export { runTraining, type TrainRunOptions, type TrainRunOutcome } from "./trainRun.ts";
export { type VideoFrame, type VideoFramesOptions, videoFrames } from "./video/videoFrames.ts";
export { type VideoFormat, VideoWriteError, VideoWriter } from "./video/videoWriter.ts";
export { type WandbLog, type WandbOptions, type WandbRun, type WandbSdk, wandbLog } from "./wandb.ts";
export { type CacheOptions, cachedWeights } from "./weights/cachedWeights.ts";
export { cacheFolder } from "./weights/cacheFolder.ts";
export { RELEASE_NAMES, type ReleaseName, releaseAddress } from "./weights/releases.ts";
