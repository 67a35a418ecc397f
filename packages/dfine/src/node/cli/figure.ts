import type { Backend } from "@dfine/tensor";
import { Command, InvalidArgumentError, Option } from "commander";
import { presetConfig } from "../../config/presets.ts";
import { writeFileAtomic } from "../checkpointFile.ts";
import { decodeImage } from "../data/decode.ts";
import { loadDatasets } from "../datasets.ts";
import { DFine } from "../detector.ts";
import { thumbnail } from "../draw.ts";
import { measureLatency } from "../experiment/latency.ts";
import { comparisonFigure, comparisonTable } from "../figures/comparison.ts";
import { SIZES } from "../figures/detectors.ts";
import { matchFigure } from "../figures/matchFigure.ts";
import { traceMatches } from "../figures/matchTrace.ts";
import { refinementFigure } from "../figures/refinementFigure.ts";
import { HARDSHIPS, robustnessFigure } from "../figures/robustnessFigure.ts";
import { PAPER_CURVES, type WeightingCurve, weightingFigure } from "../figures/weightingFigure.ts";
import { EXIT, UsageError } from "./exit.ts";
import { openDevice } from "./openDetector.ts";
import * as options from "./options.ts";
import { Terminal, type TerminalOptions } from "./terminal.ts";

interface FigureValues extends options.DataOptionValues, options.DeviceOptionValues, TerminalOptions {
  readonly out?: string;
  readonly weights?: string;
  readonly photo?: string[];
  readonly threshold?: number;
  readonly measure: boolean;
  readonly latencies?: number[];
  readonly curves?: WeightingCurve[];
}

/** What figures are made with: a device, opened when a figure wants one. */
interface FigureContext {
  readonly values: FigureValues;
  readonly terminal: Terminal;
  readonly backend: () => Promise<Backend>;
}

interface Figure {
  readonly about: string;
  readonly ending: ".svg" | ".md";
  readonly make: (context: FigureContext) => Promise<string>;
}

const FIGURES: Readonly<Record<string, Figure>> = {
  "1": {
    about: "AP over latency, parameters and GFLOPs; --measure adds latencies here",
    ...{ ending: ".svg", make: async (context) => comparisonFigure(await measured(context)) },
  },
  "2": {
    about: "W(n) for any a, c and N: --curves",
    ...{ ending: ".svg", make: async ({ values }) => weightingFigure(values.curves ?? PAPER_CURVES) },
  },
  "3": { about: "each layer's matches and their union: --weights and --data", ending: ".svg", make: matches },
  "4": { about: "distributions that move edges: --weights and --photo", ending: ".svg", make: refinement },
  "5": { about: "detections under hard conditions: --weights and --photo", ending: ".svg", make: robustness },
  table1: {
    about: "large models; --measure adds latencies here",
    ...{ ending: ".md", make: async (context) => comparisonTable("large", await measured(context)) },
  },
  table7: {
    about: "small models; --measure adds latencies here",
    ...{ ending: ".md", make: async (context) => comparisonTable("small", await measured(context)) },
  },
};

/** Reads `a,c,N` and several of them with semicolons between. */
function curves(given: string): WeightingCurve[] {
  return given.split(";").map((curve) => {
    const [a, c, bins, ...more] = curve.split(",").map(Number);
    if (a! > 0 && c! > 0 && Number.isInteger(bins) && bins! >= 4 && bins! % 2 === 0 && more.length === 0)
      return { a: a!, c: c!, bins: bins! };
    throw new InvalidArgumentError("Give a,c,N with a and c above 0 and N even from 4 on, such as 0.5,0.25,32.");
  });
}

/** Reads a number for each preset, with commas between. */
function latencies(given: string): number[] {
  const found = given.split(",").map(options.positiveNumber);
  if (found.length === SIZES.length) return found;
  throw new InvalidArgumentError(`Give ${SIZES.length} numbers, of ${SIZES.join(", ")}.`);
}

export function figureCommand(finish: (code: number) => void): Command {
  const known = Object.entries(FIGURES).map(([name, { about }]) => `${name}: ${about}`);
  const command = new Command("figure")
    .description("draw a figure of the paper with your own data and weights")
    .argument("<name>", `which one (${known.join("; ")})`, options.oneOf(Object.keys(FIGURES)));
  options.addTo(command, [
    new Option("--out <file>", "where it is written (default: figureNAME.svg)"),
    new Option("--weights <weights>", "a file, a run's folder, or a name, as for dfine val"),
    new Option("--photo <files...>", "photographs, of which the first is drawn"),
    ...options.valData(),
    options.parsed("--threshold <score>", "lowest score that is shown", options.share),
    options.parsed("--curves <list>", "a,c,N of each curve, with semicolons between", curves),
    options.parsed("--latencies <list>", "milliseconds of n,s,m,l,x as they were measured here before", latencies),
    new Option("--measure", "measure the presets' latencies here").default(false),
    ...options.device(),
    ...options.talk(),
  ]);
  return command.action(async (name: string, values: FigureValues) => finish(await figure(name, values)));
}

async function figure(name: string, values: FigureValues): Promise<number> {
  const terminal = new Terminal(values);
  const { ending, make } = FIGURES[name]!;
  using opened = new DisposableStack();
  const backend = async () => opened.use(await openDevice(values, terminal)).backend;
  const text = await make({ values, terminal, backend });
  const file = values.out ?? `${/^\d/.test(name) ? "figure" : ""}${name}${ending}`;
  await writeFileAtomic(file, text);
  terminal.data({ kind: "figure", file });
  terminal.say(ending === ".md" ? text : `figure: ${file}`);
  return EXIT.ok;
}

/** Latencies of all presets here, where they are asked for, or as they were measured before. */
async function measured({ values, terminal, backend }: FigureContext): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  if (values.latencies) return new Map(SIZES.map((preset, i) => [preset, values.latencies![i]!]));
  if (!values.measure) return found;
  const device = await backend();
  for (const preset of SIZES) {
    terminal.note(`measuring ${preset}`);
    found.set(preset, await measureLatency(presetConfig(preset, "coco").model, device));
  }
  return found;
}

async function opened({ values, backend }: FigureContext): Promise<{ detector: DFine; device: Backend }> {
  if (values.weights === undefined) throw new UsageError("this figure needs a trained model: give --weights");
  const device = await backend();
  return { detector: await DFine.fromPretrained(values.weights, { device }), device };
}

/** @throws UsageError where no photograph is given */
function photographs({ values }: FigureContext): readonly [string, ...string[]] {
  const [first, ...others] = values.photo ?? [];
  if (first === undefined) throw new UsageError("this figure is drawn of photographs: give --photo FILE");
  return [first, ...others];
}

async function matches(context: FigureContext): Promise<string> {
  const data = await loadDatasets(options.dataFiles(context.values, "val"), ["val"]);
  const { detector, device } = await opened(context);
  using _ = detector;
  const { images, annotationsByImage } = data.val!.dataset;
  const wanted = context.values.photo?.[0];
  const counts = images.map(({ id }) => annotationsByImage.get(id)!.filter(({ iscrowd }) => !iscrowd).length);
  // Some objects show more than one, and more than a dozen are hard to see.
  const usual = images.find((_, i) => counts[i]! >= 4 && counts[i]! <= 12) ?? images.find((_, i) => counts[i]! > 0);
  const image = wanted === undefined ? usual : images.find(({ fileName }) => fileName === wanted);
  if (!image)
    throw new UsageError(
      `${wanted ?? "the data"}: there is no such annotated image; give a file name of the data with --photo`,
    );
  return matchFigure(await traceMatches(detector, data.val!, { image, backend: device }));
}

async function refinement(context: FigureContext): Promise<string> {
  const [file] = photographs(context);
  const { detector } = await opened(context);
  using _ = detector;
  const image = await decodeImage(file);
  const { threshold } = context.values;
  const objects = await detector.distributions(image, threshold === undefined ? {} : { threshold });
  return refinementFigure({ source: await thumbnail(image, 920), width: image.width, height: image.height, objects });
}

async function robustness(context: FigureContext): Promise<string> {
  const { detector } = await opened(context);
  using _ = detector;
  const [image, ...others] = await Promise.all(photographs(context).map((file) => decodeImage(file)));
  const pictures = [];
  for (const [title, harden] of Object.entries(HARDSHIPS)) {
    const hard = harden(image!, others);
    const [found] = await detector.detect(hard, { threshold: context.values.threshold ?? 0.5 });
    pictures.push({ title, image: hard, objects: found!.objects });
  }
  return await robustnessFigure(pictures);
}
