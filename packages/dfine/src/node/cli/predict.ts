import { basename, join } from "node:path";
import { Command } from "commander";
import { ImageError } from "../../data/errors.ts";
import { counted } from "../../describe.ts";
import { type Result, USUAL_THRESHOLD } from "../../result.ts";
import { writeFileAtomic } from "../checkpointFile.ts";
import { isWebAddress } from "../data/readImage.ts";
import { thumbnail } from "../draw.ts";
import { environment } from "../environment.ts";
import { type Frame, framesOf } from "../predict/frames.ts";
import { OUTPUT_NAMES, OUTPUTS, type Output, type OutputContext, type OutputName } from "../predict/outputForms.ts";
import { findSources, passedOverText } from "../predict/sources.ts";
import type { GalleryImage } from "../report/gallery.ts";
import { renderReport } from "../report/report.ts";
import { planRunFolder, type RunFolder } from "../runFolder.ts";
import { EXIT, UsageError } from "./exit.ts";
import { watchInterrupt } from "./interrupt.ts";
import { openDetector } from "./openDetector.ts";
import * as options from "./options.ts";
import { Terminal } from "./terminal.ts";

interface PredictValues extends options.DetectorOptionValues {
  readonly threshold?: number;
  readonly maxDetections: number;
  readonly save: readonly OutputName[];
  readonly showDistributions?: number;
  readonly every: number;
}

/** Images that the report shows; more would make it heavy. */
const REPORTED = 60;
const SIDE = 640;
/** Objects of an image whose distributions are drawn. */
const EXPLAINED = 3;

export function predictCommand(finish: (code: number) => void): Command {
  const command = new Command("predict")
    .description("find objects in images and videos, and draw them")
    .argument("<sources...>", "files, folders, patterns, web addresses of images; videos need an installed ffmpeg");
  options.addTo(command, [
    ...options.detector(),
    options.parsed(
      "--threshold <score>",
      "lowest score shown (default: the best of the weights, or 0.5)",
      options.share,
    ),
    options.parsed("--max-detections <count>", "most objects in an image", options.wholeNumber(1)).default(300),
    options
      .listOf("--save <forms>", "what is written, several with commas", OUTPUT_NAMES)
      .default(["pictures"], "pictures"),
    options
      .parsed(
        "--show-distributions [objects]",
        `draw how boxes of the best objects were found (default: ${EXPLAINED}); as --save distributions`,
        options.wholeNumber(1),
      )
      .preset(String(EXPLAINED)),
    options.parsed("--every <count>", "of videos take every n-th frame", options.wholeNumber(1)).default(1),
    options.batch("images at a time").default(4),
    options.maxPixels(),
    ...options.run(),
  ]);
  return command.action(async (sources: string[], values: PredictValues) => finish(await predict(sources, values)));
}

async function predict(given: readonly string[], values: PredictValues): Promise<number> {
  const terminal = new Terminal(values);
  const makeFolder = await planRunFolder(values.out, "predict", values.name ?? "predict");
  const { files, passedOver } = await findSources(given, (message) => new UsageError(message));
  if (passedOver.length > 0) terminal.warn(passedOverText(passedOver));
  const { maxDetections, batch, maxPixels, every, showDistributions = EXPLAINED } = values;
  const save = new Set([...values.save, ...(values.showDistributions === undefined ? [] : ["distributions" as const])]);
  using detector = await openDetector(values, terminal);
  const threshold = values.threshold ?? detector.threshold;
  if (values.threshold === undefined) terminal.note(thresholdNote(detector.bestThreshold));
  using interrupt = watchInterrupt(() => terminal.warn("stopping after these images"));
  const unread: string[] = [];
  const onUnread = (file: string, error: unknown): void => {
    if (!(error instanceof ImageError)) throw error;
    // One image needs no folder to be told from others, and a folder's name may sound like a reason.
    if (files.length === 1) {
      const name = isWebAddress(file) ? file : basename(file);
      throw Object.assign(error, { message: error.message.replace(file, name) });
    }
    terminal.warn(error.message);
    unread.push(file);
  };
  const found: object[] = [];
  const shown: GalleryImage[] = [];
  let made: { run: RunFolder; outputs: Map<OutputName, Output> } | undefined;
  const open = async () => {
    const run = await makeFolder();
    const context: OutputContext = {
      ...{ folder: run.path, names: detector.names, every, warn: (text) => terminal.warn(text) },
      refine: (image) => detector.distributions(image, { threshold, maxDetections: showDistributions }),
    };
    return { run, outputs: new Map([...save].map((name) => [name, OUTPUTS[name](context)])) };
  };
  for await (const group of framesOf(files, { batch, every, maxPixels, onUnread })) {
    if (interrupt.signal.aborted) break;
    if (group.length === 0) continue;
    made ??= await open();
    const pixels = group.map(({ image }) => image);
    const results = await detector.detect(pixels, { threshold, maxDetections, batch });
    for (const [i, frame] of group.entries()) {
      const result = results[i]!;
      const { file, video } = frame;
      let written: string | undefined;
      for (const output of made.outputs.values()) written = (await output.add(frame, result)) ?? written;
      found.push({ file, ...(video ? { frame: video.index, time: video.time } : {}), ...result.toJSON() });
      if (shown.length < REPORTED) shown.push(await galleryImage(frame, result));
      const name = video ? `${file} at ${video.time.toFixed(2)} s` : file;
      terminal.say(`${name}: ${describe(result)}${written === undefined ? "" : ` → ${written}`}`);
      terminal.progress(
        video ? `${file}: ${counted(video.index + 1, "frame")}` : `${found.length}/${files.length} images`,
      );
    }
  }
  const saved: Partial<Record<OutputName, string>> = {};
  for (const [name, output] of made?.outputs ?? []) saved[name] = await output.end();
  const run = made?.run;
  const predictions = run && join(run.path, "predictions.json");
  if (predictions) {
    const about = { title: `Predictions of ${values.weights}`, environment: environment(detector.backend) };
    await writeFileAtomic(predictions, JSON.stringify(found));
    await writeFileAtomic(run.report, renderReport({ ...about, images: shown }));
  }
  terminal.data({ threshold, predictions, report: run?.report, saved, images: found, unread, passedOver });
  if (run) terminal.say(`report: ${run.report}`);
  if (unread.length > 0) terminal.warn(`${unread.length} of ${files.length} images could not be read`);
  if (interrupt.signal.aborted) return EXIT.interrupted;
  return unread.length > 0 ? EXIT.failure : EXIT.ok;
}

const thresholdNote = (best: number | undefined): string =>
  best === undefined
    ? `scores from ${USUAL_THRESHOLD} are shown; choose with --threshold`
    : `scores from ${best.toFixed(3)} are shown, which gave the best F1 when the weights were evaluated; choose with --threshold`;

async function galleryImage({ file, image, video }: Frame, result: Result): Promise<GalleryImage> {
  const { width, height, objects } = result;
  return {
    name: video ? `${file}, frame ${video.index}` : file,
    source: await thumbnail(image, SIDE),
    width,
    height,
    objects,
  };
}

/** "2 cat 0.91 0.88, dog 0.60". */
function describe(result: Result): string {
  const byLabel = new Map<string, string[]>();
  for (const { label, score } of result) byLabel.set(label, [...(byLabel.get(label) ?? []), score.toFixed(2)]);
  const parts = [...byLabel].map(
    ([label, scores]) => `${scores.length > 1 ? `${scores.length} ` : ""}${label} ${scores.join(" ")}`,
  );
  return parts.length === 0 ? "nothing" : parts.join(", ");
}
