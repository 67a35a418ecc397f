import type { PredictionSet, TrainingOutputs } from "../model/outputs.ts";

/** A prediction set under its official name. */
export interface NamedSet {
  readonly name: string;
  readonly set: PredictionSet;
  /** The official name of one of its losses. */
  readonly lossName: (term: string) => string;
  /** Whether its classes are judged. */
  readonly classes: boolean;
}

/** How a family calls its sets and their losses. */
interface Names {
  /** The focal loss. */
  readonly focal: string;
  readonly enc: (choice: number) => string;
  /** What follows the name of a loss of a layer before the last. */
  readonly aux: (layer: number) => string;
  /** A loss of a denoising layer. */
  readonly dn: (term: string, layer: number, isLast: boolean) => string;
  /** Whether the last denoising layer learns from itself, which costs exactly 0: D-FINE lists that loss. */
  readonly lastLearns: boolean;
}

const detr: Names = {
  focal: "ce",
  enc: () => "interm",
  aux: (layer) => `_${layer}`,
  dn: (term, layer, isLast) => `loss_${term}_dn${isLast ? "" : `_${layer}`}`,
  lastLearns: false,
};

/** The names that there are, by `criterion.names`. */
export const SET_NAMES = {
  dfine: {
    focal: "focal",
    enc: (choice) => `enc_${choice}`,
    aux: (layer) => `_aux_${layer}`,
    dn: (term, layer) => `loss_${term}_dn_${layer}`,
    lastLearns: true,
  },
  detr,
  "dn-detr": { ...detr, dn: (term, layer, isLast) => `tgt_loss_${term}${isLast ? "" : `_${layer}`}` },
} satisfies Record<string, Names>;

/** What of the criterion's configuration says how sets are called, and which of them are judged by class. */
interface Options {
  readonly names: keyof typeof SET_NAMES;
  readonly preClasses: boolean;
}

const after =
  (suffix: string) =>
  (term: string): string =>
    `loss_${term}${suffix}`;

const named = (name: string, set: PredictionSet | undefined, more: Partial<NamedSet> = {}): NamedSet[] =>
  set ? [{ name, set, lossName: after(`_${name}`), classes: true, ...more }] : [];

/** The sets of queries that are matched with the targets, in D-FINE's order. */
export function ordinarySets({ last, aux, pre, enc }: TrainingOutputs, { names, preClasses }: Options): NamedSet[] {
  const called: Names = SET_NAMES[names];
  return [
    ...named("last", last, { lossName: after("") }),
    ...aux.flatMap((set, i) => named(`aux_${i}`, set, { lossName: after(called.aux(i)) })),
    ...named("pre", pre, { classes: preClasses }),
    ...enc.flatMap((set, i) => named(called.enc(i), set)),
  ];
}

/** The set of all tokens of the encoder, matched with the targets too, for which every one of them is class 0. */
export const tokenSets = ({ tokens }: TrainingOutputs): NamedSet[] => named("enc", tokens);

/** The sets whose targets are known from the start, in D-FINE's order. */
export function denoisingSets({ dn }: TrainingOutputs, { names, preClasses }: Options): NamedSet[] {
  if (!dn) return [];
  const called: Names = SET_NAMES[names];
  const layers = dn.layers.flatMap((set, i) => {
    const isLast = i === dn.layers.length - 1;
    const { teacher: _, ...alone } = set;
    const learns = !isLast || called.lastLearns;
    return named(`dn_${i}`, learns ? set : alone, { lossName: (term) => called.dn(term, i, isLast) });
  });
  return [...layers, ...named("dn_pre", dn.pre, { classes: preClasses })];
}
