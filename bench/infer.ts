import { Random, tensor, withBackend } from "@dfine/tensor";
import { buildDetector, type PresetName, resolveConfig } from "dfine";
import { onBackend } from "./ours.ts";
import { onnxPeers } from "./peers.ts";
import type { HostArray, Work } from "./work.ts";

/** The side of the images that peers' files take. */
const PEER_SIZE = 640;

export interface InferOptions {
  readonly preset: PresetName;
  readonly size: number;
  readonly threads: number;
  /** Undefined: without peers. */
  readonly peersFolder: string | undefined;
}

/** The deploy form on one image, with the first weights of training: from pixels in memory to logits and boxes in memory. */
export function inferWork({ preset, size, threads, peersFolder }: InferOptions): Work {
  const random = new Random(1);
  const images: HostArray = {
    shape: [1, 3, size, size],
    data: Float32Array.from({ length: 3 * size * size }, () => random.uniform()),
  };
  const name = `dfine_${preset}`;
  const peers = onnxPeers({ folder: peersFolder, name }, { inputs: [images], threads });
  return {
    subject: { work: "infer", preset, name, size, batch: 1 },
    cost: {},
    agreement: "sizes",
    peers:
      size === PEER_SIZE
        ? peers
        : peers.map(({ implementation }) => ({ implementation, reason: `the file takes ${PEER_SIZE}` })),
    ours: async (backend) => {
      const model = withBackend(backend, () => {
        const { model: config } = resolveConfig({ preset, task: "coco", model: { evalSize: [size, size] } });
        using trained = buildDetector(config).initialize(random.fork("weights"));
        return trained.deploy();
      });
      const contender = onBackend(backend, {
        compute: () => {
          const { logits, boxes } = model.predictions(tensor(images.data, images.shape));
          return [logits, boxes];
        },
        dispose: () => model.dispose(),
      });
      return { ...contender, run: contender.outputs! };
    },
  };
}
