import { readdir } from "node:fs/promises";
import { basename, extname, join, sep } from "node:path";
import { Command } from "commander";
import { ImageError } from "../../data/errors.ts";
import type { RgbImage } from "../../data/image.ts";
import { counted, firstOf } from "../../describe.ts";
import { type Result, USUAL_THRESHOLD } from "../../result.ts";
import { writeFileAtomic } from "../checkpointFile.ts";
import { decodeImage } from "../data/decode.ts";
import { exists, missingHint, statOf } from "../data/onDisk.ts";
import { drawObjects, encodeImage, thumbnail } from "../draw.ts";
import { environment } from "../environment.ts";
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
}

/** Images that the report shows; more would make it heavy. */
const REPORTED = 60;
const SIDE = 640;
const IMAGE_NAME = /\.(jpe?g|jpe|jfif|png|webp|gif|tiff?|avif)$/i;
/** What systems put into folders by themselves, of which nothing is said. */
const SYSTEM_NAME = /^(\.|Thumbs\.db$|desktop\.ini$)/i;
const FOLDER = "folder";
/** Kinds shown of the files that are passed over. */
const KINDS = 5;

export function predictCommand(finish: (code: number) => void): Command {
  const command = new Command("predict")
    .description("find objects in images, and draw them")
    .argument("<images...>", "image files, or folders of them");
  options.addTo(command, [
    ...options.detector(),
    options.parsed(
      "--threshold <score>",
      "lowest score shown (default: the best of the weights, or 0.5)",
      options.share,
    ),
    options.parsed("--max-detections <count>", "most objects in an image", options.wholeNumber(1)).default(300),
    options.batch("images at a time").default(4),
    options.maxPixels(),
    ...options.run(),
  ]);
  return command.action(async (images: string[], values: PredictValues) => finish(await predict(images, values)));
}

async function predict(images: readonly string[], values: PredictValues): Promise<number> {
  const terminal = new Terminal(values);
  const makeFolder = await planRunFolder(values.out, "predict", values.name ?? "predict");
  const { files, passedOver } = await imageFiles(images);
  if (passedOver.length > 0) terminal.warn(passedOverText(passedOver));
  const { maxDetections, batch, maxPixels } = values;
  using detector = await openDetector(values, terminal);
  const threshold = values.threshold ?? detector.bestThreshold ?? USUAL_THRESHOLD;
  if (values.threshold === undefined) terminal.note(thresholdNote(detector.bestThreshold));
  using interrupt = watchInterrupt(() => terminal.warn("stopping after these images"));
  let run: RunFolder | undefined;
  const found: object[] = [];
  const shown: GalleryImage[] = [];
  const unread: string[] = [];
  const read = async (file: string) => {
    try {
      return [{ file, image: await decodeImage(file, { maxPixels }) }];
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      // One image needs no folder to be told from others, and a folder's name may sound like a reason.
      if (files.length === 1) throw Object.assign(error, { message: error.message.replace(file, basename(file)) });
      terminal.warn(error.message);
      unread.push(file);
      return [];
    }
  };
  for (let first = 0; first < files.length && !interrupt.signal.aborted; first += batch) {
    const group = (await Promise.all(files.slice(first, first + batch).map(read))).flat();
    if (group.length === 0) continue;
    run ??= await makeFolder();
    const pixels = group.map(({ image }) => image);
    const results = await detector.detect(pixels, { threshold, maxDetections, batch });
    for (const [i, { file, image }] of group.entries()) {
      const result = results[i]!;
      const written = await writeDrawn(run.path, file, { image, result });
      found.push({ file, ...result.toJSON() });
      if (shown.length < REPORTED) shown.push(await galleryImage(file, image, result));
      terminal.say(`${file}: ${describe(result)} → ${written}`);
      terminal.progress(`${found.length}/${files.length} images`);
    }
  }
  const predictions = run && join(run.path, "predictions.json");
  if (predictions) {
    const about = { title: `Predictions of ${values.weights}`, environment: environment(detector.backend) };
    await writeFileAtomic(predictions, JSON.stringify(found));
    await writeFileAtomic(run!.report, renderReport({ ...about, images: shown }));
  }
  terminal.data({ threshold, predictions, report: run?.report, images: found, unread, passedOver });
  if (run) terminal.say(`report: ${run.report}`);
  if (unread.length > 0) terminal.warn(`${unread.length} of ${files.length} images could not be read`);
  if (interrupt.signal.aborted) return EXIT.interrupted;
  return unread.length > 0 ? EXIT.failure : EXIT.ok;
}

const thresholdNote = (best: number | undefined): string =>
  best === undefined
    ? `scores from ${USUAL_THRESHOLD} are shown; choose with --threshold`
    : `scores from ${best.toFixed(3)} are shown, which gave the best F1 when the weights were evaluated; choose with --threshold`;

/**
 * Files as given, and folders as the images in them, by name; "passedOver" are the other files and folders in these.
 * @throws UsageError
 */
async function imageFiles(paths: readonly string[]): Promise<{ files: string[]; passedOver: string[] }> {
  const files: string[] = [];
  const passedOver: string[] = [];
  for (const path of paths) {
    const found = await statOf(path);
    if (!found)
      throw new UsageError(`${path}: there is no such file or folder. ${(await missingHint(path)) ?? ""}`.trim());
    if (!found.isDirectory()) {
      files.push(path);
      continue;
    }
    const inside = (await readdir(path, { withFileTypes: true }))
      .filter(({ name }) => !SYSTEM_NAME.test(name))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    const images = inside.filter((entry) => (entry.isFile() || entry.isSymbolicLink()) && IMAGE_NAME.test(entry.name));
    const others = inside
      .filter((entry) => !images.includes(entry))
      .map((entry) => join(path, entry.name, entry.isDirectory() ? "/" : ""));
    if (images.length === 0)
      throw new UsageError(`${path}: holds no images${others.length > 0 ? `; ${passedOverText(others)}` : ""}`);
    files.push(...images.map(({ name }) => join(path, name)));
    passedOver.push(...others);
  }
  return { files, passedOver };
}

/** "3 of the entries are no images that are read (2 .heic, 1 without ending): a.heic, …". */
function passedOverText(paths: readonly string[]): string {
  const kinds = new Map<string, number>();
  for (const path of paths) {
    const kind = path.endsWith(sep) ? FOLDER : extname(path).toLowerCase() || "without an ending";
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  const counts = [...kinds].sort((a, b) => b[1] - a[1]);
  const others = counts.splice(KINDS).reduce((sum, [, count]) => sum + count, 0);
  if (others > 0) counts.push(["of other kinds", others]);
  const listed = counts.map(([kind, n]) => (kind === FOLDER ? counted(n, kind) : `${n} ${kind}`)).join(", ");
  return `passed over ${counted(paths.length, "file or folder", "files or folders")} (${listed}): ${firstOf(paths)}; read are .jpg, .png, .webp, .gif, .tif and .avif`;
}

/** Writes the image with its boxes under its own name, or a numbered one where two images are called alike. */
async function writeDrawn(folder: string, file: string, found: { image: RgbImage; result: Result }): Promise<string> {
  const name = basename(file).replace(/\.(?!png$)\w+$/i, ".jpg");
  const bytes = await encodeImage(drawObjects(found.image, found.result.objects), name);
  for (let i = 1; ; i++) {
    const path = join(folder, i === 1 ? name : name.replace(/(\.\w+)?$/, `-${i}$1`));
    if (await exists(path)) continue;
    await writeFileAtomic(path, bytes);
    return path;
  }
}

async function galleryImage(file: string, image: RgbImage, result: Result): Promise<GalleryImage> {
  const { width, height, objects } = result;
  return { name: file, source: await thumbnail(image, SIDE), width, height, objects };
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
