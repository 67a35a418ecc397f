import { firstOf } from "../describe.ts";
import { areAnonymous } from "./classNames.ts";
import type { FitReport, TensorChange } from "./fit.ts";

const sizes = (shape: readonly number[] | undefined): string => (shape ? `[${shape.join(", ")}]` : "none");

const FATES: Record<TensorChange["fate"], (report: FitReport) => string> = {
  initialised: () => "as initialised",
  rows: ({ kept, modelClasses }) => `${kept.length} of ${modelClasses.length} classes kept, the others as initialised`,
  unused: () => "left out: the model is built without denoising",
};

const NAME_THEM =
  ". Where they are others, give weights that have names: dfine val --store-threshold writes such a copy, evaluated on the data they were trained with";

/** What a report says, for people: one line on the whole and one on each tensor that is not simply the file's. */
export function fitLines(report: FitReport): string[] {
  const { file, loaded, changes, fileClasses, modelClasses, kept, byOrder } = report;
  const set = { ema: ", averaged (EMA)", model: ", not averaged", only: "" }[report.chosen];
  const names = areAnonymous(fileClasses) ? "without names" : `(${firstOf(fileClasses)})`;
  const fate = byOrder
    ? `; they are taken to be ${firstOf(modelClasses)}, in this order, and none is initialised${areAnonymous(fileClasses) ? NAME_THEM : ""}`
    : kept.length > 0
      ? `; kept${areAnonymous(fileClasses) ? "" : " by name"}: ${firstOf(kept)}`
      : "";
  return [
    `${file}: ${loaded} tensors loaded${set}; ${fileClasses.length} classes ${names}${fate}`,
    ...changes.map((change) => {
      const { name, inFile, inModel } = change;
      return `${name}: ${sizes(inFile)} in the file, ${sizes(inModel)} in the model: ${FATES[change.fate](report)}`;
    }),
  ];
}
