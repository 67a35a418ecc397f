import { join } from "node:path";
import { Command, Option } from "commander";
import { summarizeDataset } from "../../data/summary.ts";
import { formatCocoStats } from "../../evaluation/cocoStats.ts";
import { toCocoResults } from "../../evaluation/detections.ts";
import { matchCategories } from "../../evaluation/matchCategories.ts";
import { ARCHITECTURES } from "../../model/architectures.ts";
import { evaluate } from "../../train/evaluate.ts";
import { writeFileAtomic } from "../checkpointFile.ts";
import { checkImages } from "../data/checkImages.ts";
import { createLoader } from "../data/loader.ts";
import { loadDatasets } from "../datasets.ts";
import { environment } from "../environment.ts";
import { LeftOut } from "../leftOut.ts";
import { renderReport } from "../report/report.ts";
import { planRunFolder } from "../runFolder.ts";
import { reportSamples, samplesWithDetections } from "../trainReport.ts";
import { EXIT } from "./exit.ts";
import { openDetector } from "./openDetector.ts";
import * as options from "./options.ts";
import { runTerminal } from "./runTerminal.ts";
import { Terminal } from "./terminal.ts";

type ValValues = options.DataOptionValues & options.DetectorOptionValues & { readonly classAgnostic: boolean };

export function valCommand(finish: (code: number) => void): Command {
  const command = new Command("val").description("evaluate weights on labelled images");
  options.addTo(command, [
    ...options.detector(),
    ...options.valData(),
    options.batch("images at a time").default(8),
    options.maxPixels(),
    new Option("--class-agnostic", "compare boxes alone, whatever their classes").default(false),
    ...options.run(),
  ]);
  return command.action(async (values: ValValues) => finish(await val(values)));
}

async function val(values: ValValues): Promise<number> {
  const terminal = new Terminal(values);
  const { val: split, notes: read = [] } = await loadDatasets(options.dataFiles(values, "val"), ["val"]);
  const { dataset } = split!;
  const makeFolder = await planRunFolder(values.out, "val", values.name ?? "val");
  await checkImages(split!);
  const { maxPixels } = values;
  using detector = await openDetector(values, terminal);
  const { queries } = ARCHITECTURES.plan(detector.model.config).facts();
  for (const note of [...read, ...summarizeDataset(dataset, { use: "evaluation", queries }).notes])
    terminal.note(`data: ${note}`);
  const { categoryIds, notes: matched } = matchCategories(detector.names, dataset);
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
  const evaluation = await evaluate(detector.predictor, source, {
    ...{ dataset, categoryIds, classAgnostic: values.classAgnostic },
    onBatch: (done) => terminal.progress(`evaluating · ${done}/${dataset.images.length} images`),
  });
  const { stats, perCategory } = evaluation.result;
  for (const note of leftOut.notes) terminal.warn(note);
  const notes = [...matched, ...leftOut.notes];
  const run = await makeFolder();
  const detections = join(run.path, "detections.json");
  await writeFileAtomic(detections, JSON.stringify(toCocoResults(evaluation.detections)));
  await writeFileAtomic(
    run.report,
    renderReport({
      title: `Evaluation of ${values.weights}`,
      evaluation: evaluation.result,
      images: samplesWithDetections(await reportSamples(split!, { maxPixels }), evaluation.detections, dataset),
      environment: environment(detector.backend),
      notes,
    }),
  );
  terminal.data({ ...stats, stats, perCategory, detections, report: run.report, notes });
  terminal.say(formatCocoStats(stats));
  terminal.say("");
  const width = Math.max(...perCategory.map(({ name }) => name.length));
  for (const { name, ap, ap50, objects } of perCategory)
    terminal.say(`${name.padEnd(width)}  AP ${shown(ap)}  AP50 ${shown(ap50)}  ${objects} objects`);
  terminal.say(`\nreport: ${run.report}`);
  return EXIT.ok;
}

const shown = (value: number): string => (value < 0 ? "  –  " : value.toFixed(3));
