import type { HostTensor, SafetensorsEntry } from "@dfine/nn";
import { sameShape } from "@dfine/tensor";
import { firstOf } from "../describe.ts";
import type { Detector } from "../model/detector.ts";
import { hostTensor } from "../tensorFile.ts";
import { ModelFileError } from "./errors.ts";
import { type CheckpointOptions, readCheckpoint } from "./open.ts";

/** Weights of a backbone alone, under the names that they have in it. */
export interface BackboneWeights {
  readonly file: string;
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
}

/** Where detectors have theirs. */
const PREFIX = /^backbone\.(?:0\.body\.)?/;
/** Norms with fixed statistics count no batches. */
const COUNTER = /\.num_batches_tracked$/;
/** What classifies in files of whole networks. */
const CLASSIFIER = /^(last_conv|fc|head|classifier)\./;

/**
 * Opens weights of a backbone: the official HGNetv2 files of ImageNet (`PPHGNetV2_B0_stage1.pth`), or the backbone of a
 * whole detector.
 * @throws ModelFileError, SafetensorsError
 */
export function openBackbone(bytes: Uint8Array, options: CheckpointOptions = {}): BackboneWeights {
  const { file, entries } = readCheckpoint(bytes, options);
  const own = [...entries].filter(([name]) => PREFIX.test(name));
  const named = own.length > 0 ? own.map(([name, entry]) => [name.replace(PREFIX, ""), entry] as const) : [...entries];
  return { file, entries: new Map(named.filter(([name]) => !CLASSIFIER.test(name))) };
}

/**
 * Loads a backbone into a model, every tensor of it.
 * @throws ModelFileError where they do not fit, naming tensors
 */
export function loadBackbone(model: Detector, { file, entries }: BackboneWeights): void {
  const { backbonePrefix: prefix } = model;
  const targets = new Map(
    [...model.stateDict()].flatMap(([name, tensor]) =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), tensor] as const] : [],
    ),
  );
  const unknown = [...entries.keys()].filter((name) => !targets.has(name) && !COUNTER.test(name));
  const lacking = [...targets].filter(([name, { shape }]) => {
    const entry = entries.get(name);
    return entry ? !sameShape(entry.shape, shape) : !COUNTER.test(name);
  });
  if (unknown.length + lacking.length > 0) {
    const shown = lacking.map(
      ([name, { shape }]) =>
        `${name} [${shape}], which is ${entries.has(name) ? `[${entries.get(name)!.shape}]` : "missing"} there`,
    );
    throw new ModelFileError(
      `${file}: its weights do not fit the backbone of the model: ${[
        ...(shown.length > 0 ? [`the model has ${firstOf(shown, 2)}`] : []),
        ...(unknown.length > 0 ? [`the model lacks ${firstOf(unknown, 4)}`] : []),
      ].join(
        "; ",
      )}. Give the file of the preset's backbone: HGNetv2 B0 for n and s, B2 for m, B4 for l, B5 for x; ResNet-50 of torchvision for other DETRs`,
    );
  }
  const state = new Map<string, HostTensor>();
  for (const [name, entry] of entries)
    if (targets.has(name)) {
      const tensor = hostTensor(entry);
      const data = targets.get(name)!.dtype === "f32" ? Float32Array.from(tensor.data) : tensor.data;
      if (!data.every(Number.isFinite))
        throw new ModelFileError(`${file}: its tensor ${name} holds numbers that are not finite; fetch the file again`);
      state.set(prefix + name, { shape: entry.shape, data });
    }
  model.loadStateDict(state, { strict: false });
}
