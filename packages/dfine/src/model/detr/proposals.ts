import { Embedding, LayerNorm, Linear, xavierUniform } from "@dfine/nn";
import { amax, noGrad, scope, sigmoid, split, type Tensor, topK, where } from "@dfine/tensor";
import * as z from "zod";
import { rate, size } from "../../config/numbers.ts";
import { proposalTensors } from "../anchors.ts";
import { choiceOf, type Part } from "../parts.ts";
import { gatherTokens } from "../querySelection.ts";
import type { Members } from "./group.ts";
import { boxMlp, type HeadPair, scoreHead } from "./heads.ts";
import {
  type Queries,
  type QueryContext,
  type QueryInput,
  type QueryPlan,
  type QuerySource,
  rowsOf,
} from "./querySource.ts";
import { boxFeatures } from "./sine.ts";

/** How tokens are judged. */
interface Judge {
  /** Scores [B, N] from class logits [B, N, C]. */
  readonly scores: (logits: Tensor) => Tensor;
  /** Whether by heads like those of the decoder's layers, which learn from all tokens; else by heads of its own, from the chosen. */
  readonly byLayerHeads: boolean;
}

const JUDGES = {
  /** The first column tells objects from nothing. Zhu et al. 2021. */
  first: { scores: (logits) => logits.slice([null, null, { start: 0, end: 1 }]).squeeze(2), byLayerHeads: true },
  /** The likeliest class. Zhang et al. 2022 (DINO). */
  best: { scores: (logits) => amax(logits, 2), byLayerHeads: false },
} satisfies Record<string, Judge>;

/** What chosen tokens give queries besides a box. */
interface Contents {
  readonly fixesPosition: boolean;
  readonly make: (context: { hiddenDim: number; count: number }) => {
    readonly inTransformer: Members;
    readonly of: (boxesUnact: Tensor) => Pick<Queries, "content" | "position">;
  };
}

const CONTENTS = {
  /** Position and content follow from the box. Zhu et al. 2021. */
  box: {
    fixesPosition: true,
    make: ({ hiddenDim }) => {
      const posTrans = new Linear(2 * hiddenDim, 2 * hiddenDim, { weightInit: xavierUniform });
      const posTransNorm = new LayerNorm(2 * hiddenDim);
      return {
        inTransformer: { posTrans, posTransNorm },
        of: (boxesUnact) => {
          const features = boxFeatures(sigmoid(boxesUnact), [0, 1, 2, 3], {
            features: hiddenDim / 2,
            temperature: 10000,
          });
          const both = posTransNorm.call(posTrans.call(features));
          const [position, content] = split(both, [hiddenDim, hiddenDim], -1) as [Tensor, Tensor];
          return { position, content };
        },
      };
    },
  },
  /** The content is learned, by rank. Zhang et al. 2022 (mixed query selection). */
  table: {
    fixesPosition: false,
    make: ({ hiddenDim, count }) => {
      const tgtEmbed = new Embedding(count, hiddenDim, { init: xavierUniform });
      return { inTransformer: { tgtEmbed }, of: () => ({ content: rowsOf(tgtEmbed) }) };
    },
  },
} satisfies Record<string, Contents>;

const schema = z.strictObject({
  type: z.literal("proposals"),
  count: size,
  /** What tokens are chosen by: the logit of the first class, which counts for all, or of the best. */
  score: choiceOf(JUDGES),
  /** What contents are made of: the proposed box, or a table by rank. */
  content: choiceOf(CONTENTS),
  /** Tokens whose box is nearer than this to 0 or 1 in any component are not chosen. */
  margin: rate,
});
type ProposalConfig = z.infer<typeof schema>;

function makeProposals({ count, score, content, margin }: ProposalConfig, context: QueryContext): QuerySource {
  const { hiddenDim, classes } = context;
  const { scores, byLayerHeads }: Judge = JUDGES[score];
  const contents = CONTENTS[content].make({ hiddenDim, count });
  const own = context.heads ? undefined : { score: scoreHead(hiddenDim, classes), box: boxMlp(hiddenDim, 4) };
  const heads: HeadPair = context.heads ?? own!;
  const encOutput = new Linear(hiddenDim, hiddenDim, { weightInit: xavierUniform });
  const encOutputNorm = new LayerNorm(hiddenDim);

  function queries({ memory, levels, extents, selection, tap, training }: QueryInput): Queries {
    const [anchors, valid] = proposalTensors(levels, { margin, filled: extents?.filled, backend: memory.backend });
    const masked = where(valid, memory, 0);
    const seen = (tokens: Tensor): Tensor => encOutputNorm.call(encOutput.call(tokens));
    const judged = (tokens: Tensor, start: Tensor) => ({
      logits: heads.score.call(tokens),
      boxesUnact: heads.box.call(tokens).add(start),
    });
    const sets = ({ logits, boxesUnact }: ReturnType<typeof judged>) => ({ logits, boxes: sigmoid(boxesUnact) });

    const all = byLayerHeads && (training || tap) ? judged(seen(masked), anchors) : undefined;
    const best = noGrad(() =>
      scope("query selection", () => topK(scores(all?.logits ?? heads.score.call(seen(masked))), count)),
    );
    tap?.("topk_index", best.indices);
    tap?.("topk_score", best.values);
    const rows = selection ?? best.indices;
    // Only the chosen tokens get a gradient, so only they pass the heads again with a tape.
    const chosen = all ? undefined : judged(seen(gatherTokens(masked, rows)), gatherTokens(anchors, rows));
    const found = sets((all ?? chosen)!);
    tap?.(`${all ? "tokens" : "chosen"}.logits`, found.logits);
    tap?.(`${all ? "tokens" : "chosen"}.boxes`, found.boxes);
    const boxesUnact = (chosen?.boxesUnact ?? gatherTokens(all!.boxesUnact, rows)).detach();
    return {
      ...contents.of(boxesUnact),
      referenceUnact: boxesUnact,
      ...(all ? { tokens: found } : { chosen: found }),
    };
  }

  const { score: encOutClassEmbed, box: encOutBboxEmbed } = own ?? {};
  return {
    inModel: {},
    inTransformer: { encOutput, encOutputNorm, ...contents.inTransformer, encOutClassEmbed, encOutBboxEmbed },
    queries,
  };
}

/** Queries begin at the boxes that the encoder's best tokens propose. */
export const proposals: Part<typeof schema, QueryPlan> = {
  schema,
  defaults: () => ({ type: "proposals", count: 300, score: "first", content: "box", margin: 0.01 }),
  plan: (config) => ({
    ...{ count: config.count, reference: 4, indicator: false },
    fixesPosition: CONTENTS[config.content].fixesPosition,
    chooses: JUDGES[config.score].byLayerHeads ? "layer heads" : "own heads",
    make: (context) => makeProposals(config, context),
  }),
};
