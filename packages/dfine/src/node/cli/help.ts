import { EXIT } from "./exit.ts";

/** What stands at the end of a command's help. */
interface Help {
  /** What one would type, without the leading `dfine`. */
  readonly examples: readonly string[];
  /** What exit codes mean where it is not the usual. */
  readonly exits?: Partial<Readonly<Record<keyof typeof EXIT, string>>>;
}

const EXITS: Readonly<Record<keyof typeof EXIT, string>> = {
  ok: "done",
  failure: "failed",
  usage: "wrong usage",
  interrupted: "interrupted by Ctrl-C",
};

/** By the words that call a command. A test sees to it that each has its row. */
export const HELP: Readonly<Record<string, Help>> = {
  doctor: {
    examples: [
      "doctor data.yaml",
      "doctor photos --json",
      "doctor data.yaml --fix corrected && dfine train --data corrected/data.yaml",
    ],
    exits: { ok: "no faults (with --fix: none left that is an error)", failure: "faults" },
  },
  train: {
    examples: [
      "train --data data.yaml --model s --size 640",
      "train --weights s-obj365 --images photos --annotations train.json --val-images photos --val-annotations val.json",
      "train --data data.yaml --size 320 --overfit",
      "train --resume runs/train/photos",
    ],
    exits: { interrupted: "interrupted by Ctrl-C, and saved: --resume goes on" },
  },
  val: {
    examples: ["val --weights runs/train/photos --data data.yaml", "val --weights n-coco --data coco.yaml --json"],
  },
  predict: {
    examples: [
      "predict street.jpg --weights n-coco",
      "predict 'photos/*.jpg' clip.mp4 --weights runs/train/photos --save pictures,coco --every 5",
      "predict photos --weights n-coco --show-distributions --json",
    ],
    exits: { failure: "failed, or some images could not be read" },
  },
  export: {
    examples: [
      "export --weights runs/train/photos --out photos.onnx",
      "export --weights n-coco --dynamic --post --out n.onnx",
      "export --weights runs/train/photos --format huggingface --out photos-hub",
    ],
    exits: { ok: "written, and compared where onnxruntime-node is installed" },
  },
  experiment: {
    examples: [
      "experiment list",
      "experiment table3 --dry",
      "experiment table5 --scale hour --jobs 2 --threads 1",
      "experiment mine.yaml --data data.yaml --seeds 3 train.epochs=20",
    ],
    exits: { interrupted: "interrupted by Ctrl-C, and saved: the same command goes on" },
  },
  figure: {
    examples: [
      "figure 1 --measure",
      "figure 2 --curves '0.5,0.25,32;1,0.25,32'",
      "figure 3 --weights runs/train/photos --data data.yaml",
      "figure 5 --weights n-coco --photo street.jpg",
    ],
  },
  info: { examples: ["info n-coco", "info --model s train.epochs=50 --json"] },
  "convert coco": { examples: ["convert coco yolo/data.yaml --out coco"] },
  "convert yolo": { examples: ["convert yolo annotations.json --out yolo --val-split 0.2"] },
  "convert voc": {
    examples: ["convert voc data.yaml --out voc", "convert voc VOCdevkit/VOC2007 --set trainval --out train.json"],
  },
  "convert crowdhuman": {
    examples: ["convert crowdhuman annotation_train.odgt --images Images --out train.json"],
  },
  "convert objects365": {
    examples: ["convert objects365 images --train zhiyuan_objv2_train.json --val zhiyuan_objv2_val.json"],
  },
  "convert config": { examples: ["convert config dfine_hgnetv2_n_coco.yml --out config.yaml"] },
  tune: {
    examples: ["tune", "tune --model n,s --size 640 --batch 8 --again", "tune --export card.json"],
  },
  demo: { examples: ["demo", "demo --steps 20"], exits: { interrupted: "interrupted by Ctrl-C, and saved" } },
};

/** The end of a command's help, whose first line is empty; undefined for a command without a row. */
export function helpEnd(path: string): string | undefined {
  const help = HELP[path];
  if (!help) return undefined;
  const exits = { ...EXITS, ...help.exits };
  const codes = Object.entries(EXIT).map(([name, code]) => `${code} ${exits[name as keyof typeof EXIT]}`);
  const examples = help.examples.map((example) => `  dfine ${example}\n`);
  return `\n${help.examples.length === 1 ? "Example" : "Examples"}:\n${examples.join("")}\nExit codes: ${codes.join(", ")}`;
}
