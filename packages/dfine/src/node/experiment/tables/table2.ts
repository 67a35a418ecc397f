import type { PresetName } from "../../../config/config.ts";
import type { Experiment, ExperimentRow } from "../experiment.ts";

/** A detector as it is, and with both methods. */
interface Family {
  readonly preset: PresetName;
  readonly label: string;
  readonly millions: number;
  readonly epochs: 12 | 24;
  readonly ap: readonly [plain: number, improved: number];
  readonly note?: string;
}

const SIZE =
  "The paper's size is that of Deformable DETR without proposals, and its AP that of one with them; ours is the public code's model with them. Parameters of all rows are those of training, heads of all layers included.";
const FAMILIES: Readonly<Record<string, Family>> = {
  deformable: {
    ...{ preset: "deformable-detr", label: "Deformable-DETR", millions: 40, epochs: 12, ap: [0.437, 0.471] },
    note: SIZE,
  },
  dab: { preset: "dab-detr", label: "DAB-DETR", millions: 48, epochs: 12, ap: [0.442, 0.495] },
  dn: { preset: "dn-detr", label: "DN-DETR", millions: 48, epochs: 12, ap: [0.46, 0.497] },
  dino: { preset: "dino", label: "DINO", millions: 47, epochs: 12, ap: [0.49, 0.516] },
  dino24: { preset: "dino", label: "DINO, 24 epochs", millions: 47, epochs: 24, ap: [0.504, 0.524] },
};

const RECIPES = { 12: "paper", 24: "paper24" } as const;

function rowsOf(key: string, { preset, label, millions, epochs, ap, note }: Family): [string, ExperimentRow][] {
  const chosen = { preset, recipe: RECIPES[epochs] };
  const paper = (value: number) => ({ ap: value, parameters: millions * 1e6 });
  return [
    [key, { label, patch: chosen, paper: paper(ap[0]), ...(note === undefined ? {} : { note }) }],
    [
      `${key}-both`,
      {
        label: `${label} + FDR & GO-LSD`,
        patch: { ...chosen, fdr: true, goLsd: true },
        ...{ paper: paper(ap[1]), against: key },
      },
    ],
  ];
}

/** What FDR and GO-LSD are worth to other detectors. */
export const table2: Experiment = {
  title: "Table 2: FDR and GO-LSD on other DETRs",
  source: "D-FINE (arXiv 2410.13842), Table 2: COCO val2017, ResNet-50, batches of 16; parameters in whole millions",
  base: { preset: "dino", task: "coco" },
  rows: Object.fromEntries(Object.entries(FAMILIES).flatMap(([key, family]) => rowsOf(key, family))),
};
