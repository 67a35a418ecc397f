import { dirname, join } from "node:path";
import { Command, Option } from "commander";
import { summarizeDataset } from "../../data/summary.ts";
import { formatCocoStats } from "../../evaluation/cocoStats.ts";
import type { ConfidencePoint } from "../../evaluation/confidence.ts";
import { toCocoResults } from "../../evaluation/detections.ts";
import { matchCategories } from "../../evaluation/matchCategories.ts";
import { ARCHITECTURES } from "../../model/architectures.ts";
import { type Evaluation, evaluate } from "../../train/evaluate.ts";
import { writeFileAtomic } from "../checkpointFile.ts";
import { checkImages } from "../data/checkImages.ts";
import type { DatasetSplit } from "../data/datasetParts.ts";
import type { DecodeOptions } from "../data/decode.ts";
import { createLoader } from "../data/loader.ts";
import { loadDatasets } from "../datasets.ts";
import type { DFine } from "../detector.ts";
import { environment } from "../environment.ts";
import { LeftOut } from "../leftOut.ts";
import { mistakePictures } from "../mistakePictures.ts";
import { renderReport } from "../report/report.ts";
import { makeFolder, planRunFolder, type RunFolder } from "../runFolder.ts";
import { reportSamples, samplesWithDetections } from "../trainReport.ts";
import { EXIT } from "./exit.ts";
import { openDetector } from "./openDetector.ts";
import * as options from "./options.ts";
import { runTerminal } from "./runTerminal.ts";
import { Terminal } from "./terminal.ts";

type ValValues = options.DataOptionValues &
  options.DetectorOptionValues &
  Readonly<Record<"classAgnostic" | "perLayer" | "storeThreshold", boolean>>;

export function valCommand(finish: (code: number) => void): Command {
  const command = new Command("val").description("evaluate weights on labelled images");
  options.addTo(command, [
    ...options.detector(),
    ...options.valData(),
    options.batch("images at a time").default(8),
    options.maxPixels(),
    new Option("--class-agnostic", "compare boxes alone, whatever their classes").default(false),
    new Option("--per-layer", "AP of every decoder layer too, in the form of training").default(false),
    new Option(
      "--store-threshold",
      "write the weights with their best threshold, which predict then uses, and with the names of classes where they have none",
    ).default(false),
    ...options.run(),
  ]);
  return command.action(async (values: ValValues) => finish(await val(values)));
}

async function val(values: ValValues): Promise<number> {
  const terminal = new Terminal(values);
  const { val: split, notes: read = [] } = await loadDatasets(options.dataFiles(values, "val"), ["val"]);
  const { dataset } = split!;
  const makeRun = await planRunFolder(values.out, "val", values.name ?? "val");
  await checkImages(split!);
  const { maxPixels } = values;
  using detector = await openDetector(values, terminal);
  const { queries } = ARCHITECTURES.plan(detector.model.config).facts();
  for (const note of [...read, ...summarizeDataset(dataset, { use: "evaluation", queries }).notes])
    terminal.note(`data: ${note}`);
  const { categoryIds, classes, notes: matched } = matchCategories(detector.names, dataset);
  for (const note of matched) terminal.note(note);
  const leftOut = new LeftOut(runTerminal(terminal));
  const source = createLoader({
    ...split!,
    ...{
      size: detector.size,
      resize: detector.model.config.resize,
      batchSize: values.batch,
      training: false,
      maxPixels,
    },
    onBroken: leftOut.of("val"),
  });
  const predictor = values.perLayer ? detector.layerPredictor : detector.predictor;
  const evaluation = await evaluate(predictor, source, {
    ...{ dataset, categoryIds, classAgnostic: values.classAgnostic },
    onBatch: (done) => terminal.progress(`evaluating · ${done}/${dataset.images.length} images`),
  });
  const { explanation, layers } = evaluation;
  const { stats, perCategory } = evaluation.result;
  const { best } = explanation.curves.all;
  for (const note of leftOut.notes) terminal.warn(note);
  const notes = [...matched, ...leftOut.notes];
  const run = await makeRun();
  const detections = join(run.path, "detections.json");
  await writeFileAtomic(detections, JSON.stringify(toCocoResults(evaluation.detections)));
  await writeFileAtomic(
    run.report,
    renderReport({
      title: `Evaluation of ${values.weights}`,
      evaluation,
      ...(await pictures(split!, evaluation, { maxPixels })),
      environment: environment(detector.backend),
      notes,
    }),
  );
  const weights =
    values.storeThreshold && best ? { weights: await storeThreshold(detector, run, { ...best, classes }) } : {};
  terminal.data({
    ...stats,
    stats,
    perCategory,
    ...explanation,
    layers,
    detections,
    report: run.report,
    ...weights,
    notes,
  });
  tell(terminal, evaluation);
  if (weights.weights) terminal.say(`weights with it: ${weights.weights}`);
  terminal.say(`report: ${run.report}`);
  return EXIT.ok;
}

function tell(terminal: Terminal, { result, explanation, layers = [] }: Evaluation): void {
  terminal.say(`${formatCocoStats(result.stats)}\n`);
  const width = Math.max(...result.perCategory.map(({ name }) => name.length));
  for (const { name, ap, ap50, objects } of result.perCategory)
    terminal.say(`${name.padEnd(width)}  AP ${shown(ap)}  AP50 ${shown(ap50)}  ${objects} objects`);
  for (const [i, { AP, AP50 }] of layers.entries())
    terminal.say(`decoder layer ${i + 1}  AP ${shown(AP)}  AP50 ${shown(AP50)}`);
  const { best } = explanation.curves.all;
  const { threshold, f1, precision, recall } = best ?? { threshold: -1, f1: -1, precision: -1, recall: -1 };
  terminal.say(
    `\nbest threshold ${shown(threshold)}: mean F1 ${shown(f1)}, precision ${shown(precision)}, recall ${shown(recall)} at IoU 0.5`,
  );
}

const shown = (value: number): string => (value < 0 ? "  –  " : value.toFixed(3));

/** The pictures of the report. */
async function pictures(split: DatasetSplit, evaluation: Evaluation, limits: Pick<DecodeOptions, "maxPixels">) {
  const { detections, explanation } = evaluation;
  const { threshold, mistakes } = explanation;
  const samples = await reportSamples(split, limits);
  return {
    images: samplesWithDetections(samples, { detections, threshold }, split.dataset),
    mistakes: await mistakePictures(split, { detections, mistakes }, limits),
  };
}

/** Writes the weights into the run folder, where predict finds them with the score from which on detections count. */
async function storeThreshold(
  detector: DFine,
  run: RunFolder,
  { threshold, classes: names }: ConfidencePoint & { readonly classes: readonly string[] },
): Promise<string> {
  await makeFolder(dirname(run.best));
  await writeFileAtomic(run.best, await detector.save({ threshold, names }));
  return run.best;
}
