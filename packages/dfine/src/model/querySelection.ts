import { amax, flatRows, indexSelect, type Tensor, topK } from "@dfine/tensor";
import { quotient } from "./quotient.ts";

/** A way of choosing tokens as queries. */
export interface QuerySource {
  /** Logits per token by which it is chosen. */
  logits(classes: number): number;
  /** Chooses `count` tokens by their logits [B, N, C] → their positions, i32, and what they were chosen by, [B, Q], best first. */
  select(logits: Tensor, count: number): { indices: Tensor; values: Tensor };
}
type Select = QuerySource["select"];

const byBestClass: Select = (logits, count) => topK(amax(logits, 2), count);

const byTokenAndClass: Select = (logits, count) => {
  const { values, indices } = topK(logits.flatten(1), count);
  return { indices: quotient(indices, logits.shape[2]!), values };
};

/** `one2many` may choose a token several times, for different classes; `agnostic` has a head with a single logit. */
export const QUERY_SOURCES = {
  default: { logits: (classes) => classes, select: byBestClass },
  one2many: { logits: (classes) => classes, select: byTokenAndClass },
  agnostic: { logits: () => 1, select: byBestClass },
} satisfies Record<string, QuerySource>;

/** Rows of x [B or 1, N, D] at `tokens` [B, Q] → [B, Q, D]. */
export function gatherTokens(x: Tensor, tokens: Tensor): Tensor {
  const [batch, length, features] = x.shape as [number, number, number];
  const rows = batch === 1 ? tokens.reshape([-1]) : flatRows(tokens, length);
  return indexSelect(x.reshape([batch * length, features]), rows).reshape([...tokens.shape, features]);
}
