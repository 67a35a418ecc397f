import { Embedding, Linear, xavierUniform } from "@dfine/nn";
import { concat, split, type Tensor, zeros } from "@dfine/tensor";
import * as z from "zod";
import { size } from "../../config/numbers.ts";
import type { Part } from "../parts.ts";
import { type QueryPlan, rowsOf } from "./querySource.ts";

const pointSchema = z.strictObject({ type: z.literal("points"), count: size });

/** A position and a content for each query are learned, and the point it looks around follows from the position. Zhu et al. 2021. */
export const points: Part<typeof pointSchema, QueryPlan> = {
  schema: pointSchema,
  defaults: () => ({ type: "points", count: 300 }),
  plan: ({ count }) => ({
    ...{ count, reference: 2, fixesPosition: true, chooses: "no", indicator: false },
    make: ({ hiddenDim }) => {
      const queryEmbed = new Embedding(count, 2 * hiddenDim);
      const referencePoints = new Linear(hiddenDim, 2, { weightInit: xavierUniform, biasInit: 0 });
      return {
        inModel: { queryEmbed },
        inTransformer: { referencePoints },
        queries: () => {
          const [position, content] = split(rowsOf(queryEmbed), [hiddenDim, hiddenDim], -1) as [Tensor, Tensor];
          return { content, position, referenceUnact: referencePoints.call(position) };
        },
      };
    },
  }),
};

const anchorSchema = z.strictObject({
  type: z.literal("anchors"),
  count: size,
  /** Whether the last feature of each query tells whether it is a denoising one. */
  indicator: z.boolean(),
});

/** A box and a content for each query are learned. Liu et al. 2022 (DAB-DETR); with an indicator Li et al. 2022 (DN-DETR). */
export const anchors: Part<typeof anchorSchema, QueryPlan> = {
  schema: anchorSchema,
  defaults: () => ({ type: "anchors", count: 300, indicator: false }),
  plan: ({ count, indicator }) => ({
    ...{ count, reference: 4, fixesPosition: false, chooses: "no", indicator },
    make: ({ hiddenDim }) => {
      const tgtEmbed = new Embedding(count, indicator ? hiddenDim - 1 : hiddenDim);
      const refpointEmbed = new Embedding(count, 4);
      return {
        inModel: { tgtEmbed, refpointEmbed },
        inTransformer: {},
        queries: ({ memory: { backend } }) => {
          const own = rowsOf(tgtEmbed);
          const content = indicator ? concat([own, zeros([1, count, 1], { backend })], -1) : own;
          return { content, referenceUnact: rowsOf(refpointEmbed) };
        },
      };
    },
  }),
};
