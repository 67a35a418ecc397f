import { casesOf, defineMap, defineRow, noGrad, stack, type Tensor } from "@dfine/tensor";
import * as z from "zod";
import { rate } from "../config/numbers.ts";
import type { PredictionSet } from "../model/outputs.ts";
import { choiceTable, type Row } from "../model/parts.ts";
import { distillationBalance, distillationLoss, edgeDivergence } from "./distillation.ts";
import { stackShared, sumPerSet, takeSets } from "./perSet.ts";
import { indicesWhere, pairCount, type SetGroup, type Term } from "./setGroup.ts";
import { softplus } from "./varifocal.ts";

/** What a row of the table says of itself: its weight, and the temperature that softens what is compared. */
const softened = <Kind extends string>(kind: Kind) =>
  z.strictObject({ kind: z.literal(kind), weight: rate, temperature: z.number().positive() });

// Row: the classes of one query.
const bernoulliRow = defineRow(
  "bernoulliDivergence",
  (row, student, teacher, temperature) => {
    const [s, t] = [student.div(temperature), teacher.div(temperature)];
    const absent = t.neg().sigmoid();
    const divergence = softplus(s.neg())
      .sub(softplus(t.neg()))
      .add(absent.mul(s.sub(t)));
    row.storeRow(row.sum(divergence).mul(temperature).mul(temperature));
  },
  {
    takes: ["student", "teacher", "temperature"],
    cases: (op) =>
      casesOf("2x3x5 1x4x33 0x3", (shape) => ({
        inputs: [{ shape }, { shape }, 5],
        run: (...inputs) => op(inputs, -1),
      })),
  },
);

const squaredDifference = defineMap("squaredDifference", (a, b) => a.sub(b).mul(a.sub(b)));

const countMatched = defineMap("matchedWeight", (label, share) => label.lt(0).select(0, share), {
  inputs: ["i32", 0.25],
  differentiable: false,
});

/** The sets that have a tensor `key` of their own and of their teacher, with both, [S, …] and [S or 1, …] without gradient. */
function taughtSets(group: SetGroup, key: keyof NonNullable<PredictionSet["teacher"]>) {
  const indices = indicesWhere(group, (set) => set[key] !== undefined && set.teacher?.[key] !== undefined);
  const sets = indices.map((i) => group.sets[i]!.set);
  if (sets.length === 0) return undefined;
  const shared = (of: typeof key) => stackShared(sets.map((set) => set.teacher![of]!)).detach();
  return { indices, student: stack(sets.map((set) => set[key]!)), teacher: shared(key), shared };
}

type Taught = NonNullable<ReturnType<typeof taughtSets>>;

/** A term over the sets whose tensor `key` a teacher has too. */
const overTaught =
  (
    key: keyof NonNullable<PredictionSet["teacher"]>,
    loss: (taught: Taught, ...given: Parameters<Term["run"]>) => Tensor,
  ): Term["run"] =>
  (group, aims) => {
    const taught = taughtSets(group, key);
    return taught ? [{ indices: taught.indices, values: loss(taught, group, aims) }] : [];
  };

/** Means over queries and images of what `differ` makes of each layer's and the last layer's tensor `key`. */
const meanOver = (key: "logits" | "features", differ: (student: Tensor, teacher: Tensor) => Tensor): Term["run"] =>
  overTaught(key, ({ student, teacher }) => {
    const [, images, queries] = student.shape as [number, number, number, number];
    return sumPerSet(differ(student, teacher)).div(images * queries);
  });

const ddfSchema = softened("ddf");
/** GO-LSD's own: the edges' distributions of all queries, weighted by what is known of each. D-FINE §4.2. */
const ddf: Row<typeof ddfSchema, Term["run"]> = {
  schema: ddfSchema,
  plan: ({ temperature }) =>
    overTaught("corners", ({ indices, student, shared }, group, { boxes }) => {
      const [, images, queries] = student.shape as [number, number, number, number];
      // Every layer matches equally many queries, so one balance holds for all sets.
      const own = { matched: pairCount(group.boxMatches[0]!), queries: images * queries };
      const balance = distillationBalance(own, group.ordinary, images);
      const teacher = { corners: shared("corners"), logits: shared("logits") };
      const [ious, labels] = [takeSets(boxes.ious, indices), takeSets(boxes.labels, indices)];
      return distillationLoss({ student, teacher, ious, labels, balance, temperature });
    }),
};

const localizationSchema = softened("localization");
/** The same divergence over matched queries alone, all weighted alike: localisation distillation, Zheng et al. 2022. */
const localization: Row<typeof localizationSchema, Term["run"]> = {
  schema: localizationSchema,
  plan: ({ temperature }) =>
    overTaught("corners", ({ indices, student, teacher }, group, { boxes }) => {
      const share = 1 / (4 * Math.max(1, pairCount(group.boxMatches[0]!)));
      const weight = noGrad(() => countMatched(takeSets(boxes.labels, indices), share));
      const [divergence] = edgeDivergence({ student, teacher, weight, temperature });
      return sumPerSet(divergence);
    }),
};

const logitsSchema = softened("logits");
/** Logit mimicking: T²·KL of each class's probability, which is a sigmoid of its own, summed over classes. */
const logits: Row<typeof logitsSchema, Term["run"]> = {
  schema: logitsSchema,
  plan: ({ temperature }) =>
    meanOver("logits", (student, teacher) => bernoulliRow([student, teacher, temperature], -1)[0]!),
};

const featuresSchema = z.strictObject({ kind: z.literal("features"), weight: rate });
/** Feature imitation: the mean squared difference of queries as each layer leaves them from the last layer's. */
const features: Row<typeof featuresSchema, Term["run"]> = {
  schema: featuresSchema,
  plan: () =>
    meanOver("features", (student, teacher) => squaredDifference(student, teacher).div(student.shape.at(-1)!)),
};

/** Ways in which the last layer teaches those before it. The paper gives no formulas for those beside its own: docs/experiments.md. */
export const DISTILLATIONS = choiceTable("kind", { ddf, localization, logits, features }, "ddf");
