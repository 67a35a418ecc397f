import type { PredictionSet, TrainingOutputs } from "../model/outputs.ts";

/** A prediction set under its official name; losses are called `loss_TERM` + `suffix`. */
export interface NamedSet {
  readonly name: string;
  readonly suffix: string;
  readonly set: PredictionSet;
}

const named = (name: string, set: PredictionSet | undefined): NamedSet[] =>
  set ? [{ name, suffix: `_${name}`, set }] : [];

/** The sets that are matched with the targets, in D-FINE's order. */
export const ordinarySets = ({ last, aux, pre, enc }: TrainingOutputs): NamedSet[] => [
  { name: "last", suffix: "", set: last },
  ...aux.flatMap((set, i) => named(`aux_${i}`, set)),
  ...named("pre", pre),
  ...enc.flatMap((set, i) => named(`enc_${i}`, set)),
];

/** The sets whose targets are known from the start, in D-FINE's order. */
export const denoisingSets = ({ dn }: TrainingOutputs): NamedSet[] =>
  dn ? [...dn.layers.flatMap((set, i) => named(`dn_${i}`, set)), ...named("dn_pre", dn.pre)] : [];
