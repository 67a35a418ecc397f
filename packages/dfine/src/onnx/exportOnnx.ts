import { withBackend } from "@dfine/tensor";
import { titleOf } from "../config/names.ts";
import { inTurn } from "../deviceQueue.ts";
import type { DFine } from "../dfine.ts";
import { ARCHITECTURES, checkInputSize, type ModelConfig } from "../model/architectures.ts";
import * as rule from "../optionRules.ts";
import { onnxFile } from "./file.ts";
import type { Element, Port } from "./graph.ts";
import { detections } from "./postprocessOps.ts";
import { isSame, type Size } from "./sizes.ts";
import { type Trace, traceModel } from "./trace.ts";
import { writeGraph } from "./writeGraph.ts";

/** How a detector is written as ONNX. */
export interface OnnxOptions {
  /** Input [height, width]; default: the detector's. */
  readonly size?: readonly [number, number] | undefined;
  /** Height and width may be any multiples of the coarsest stride when it runs, up to 4096; default false. */
  readonly dynamic?: boolean | undefined;
  /** Outputs are detections in pixels, for which `orig_target_sizes` is a second input; default false. */
  readonly post?: boolean | undefined;
  /** Ends the export before the model runs, or after it. */
  readonly signal?: AbortSignal | undefined;
}

const ONNX_OPTIONS: rule.OptionRules<OnnxOptions> = {
  ...{ size: rule.listOf(2, 1), dynamic: rule.flag, post: rule.flag, signal: rule.abortSignal },
};

/** What the sizes of images that vary are called. */
const AXES = ["batch", "height", "width"];
/** Of the trace. One image is a special case: what is the same for all images is not looked up for each. */
const BATCH = 2;

/** The next size from `size` on that a file for any size takes: sides are multiples of the model's coarsest stride. */
export function roundedUp(config: ModelConfig, size: readonly [number, number]): [height: number, width: number] {
  const { stride } = ARCHITECTURES.plan(config).facts();
  const up = (side: number): number => Math.ceil(side / stride) * stride;
  return [up(size[0]), up(size[1])];
}

type Named = readonly [name: string, element: Element];
const IMAGES: Named = ["images", "float32"];
const FORMS = {
  raw: {
    inputs: [IMAGES],
    outputs: [
      ["logits", "float32"],
      ["boxes", "float32"],
    ],
  },
  post: {
    inputs: [IMAGES, ["orig_target_sizes", "int64"]],
    outputs: [
      ["labels", "int64"],
      ["boxes", "float32"],
      ["scores", "float32"],
    ],
  },
} as const satisfies Record<string, { inputs: readonly Named[]; outputs: readonly Named[] }>;

/**
 * A detector as an ONNX file (opset 18, float32, any batch). Input `images` [B, 3, H, W], RGB / 255; outputs `logits`
 * [B, Q, C] and `boxes` [B, Q, 4], cxcywh in 0–1. With `post`, as the official exporter has it: inputs `images` and
 * `orig_target_sizes` [B, 2] (width and height in pixels, int64), outputs `labels` [B, n] (int64), `boxes` [B, n, 4]
 * (x1 y1 x2 y2 in pixels) and `scores` [B, n], best first.
 * @throws ExportError where a part of the model has no ONNX form, ConfigError for a size, ArgumentError for options,
 * the signal's reason
 */
export async function exportOnnx(detector: DFine, options: OnnxOptions = {}): Promise<Uint8Array> {
  rule.checkOptions("exportOnnx", options, ONNX_OPTIONS);
  const { size = detector.size, dynamic: anySize = false, post = false, signal } = options;
  const { backend, model } = detector;
  const { config } = model;
  checkInputSize(config, size);
  const { inputs, outputs } = FORMS[post ? "post" : "raw"];
  const trace = await inTurn(backend, async () => {
    signal?.throwIfAborted();
    using deployed = withBackend(backend, () => model.deploy());
    return await traceModel(
      { model: deployed, config, backend },
      {
        anySize,
        sizes: [BATCH, ...(anySize ? roundedUp(config, size) : size)],
        inputs: ([batch, height, width]) => [[batch!, 3, height!, width!], ...(post ? [[batch!, 2]] : [])],
        run: (traced, [images, sizes]) => {
          const found = traced.predictions(images!);
          return post ? detections(found, sizes!, config.numTopQueries) : [found.logits, found.boxes];
        },
      },
    );
  });
  signal?.throwIfAborted();
  const { graph, outputs: written } = writeGraph(trace, (made, i) => {
    const [name, element] = inputs[i]!;
    return element === "float32" ? name : made.cast(name, "float32");
  });
  for (const [i, [name, element]] of outputs.entries())
    graph.rename(element === "int64" ? graph.cast(written[i]!, element) : written[i]!, name);
  return onnxFile({
    graph,
    inputs: inputs.map((port, i) => portOf(port, trace.inputs[i]!.shape, trace)),
    outputs: outputs.map((port, i) => portOf(port, trace.outputs[i]!.shape, trace)),
    metadata: {
      ...{ model: titleOf(detector.preset), names: JSON.stringify(config.classes) },
      ...{ size: anySize ? "any" : size.join("x"), resize: config.resize },
    },
  });
}

function portOf([name, element]: Named, shape: readonly Size[], { axes }: Trace): Port {
  const dims = shape.map((size) => AXES[axes.findIndex((axis) => isSame(axis, size))] ?? size[0]!);
  return { name, element, dims };
}
