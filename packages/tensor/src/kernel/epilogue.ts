import type { OverrideCall, View } from "../backend.ts";
import { memo } from "../memo.ts";
import type { Conv2dActAttrs } from "../ops/attrs.ts";
import { convEpilogue } from "../ops/conv2d.ts";
import { sizeOf } from "../shape.ts";
import { type Expr, row } from "./expr.ts";

/** What becomes of a product's sums before they are stored. */
export interface Epilogue {
  /** Ends the names of kernels that have it. */
  readonly name: string;
  /** Of `row(0)`, the sum, and `row(1 + i)`, what operand i holds. */
  readonly expression: Expr;
  /** In the order in which kernels bind them. */
  readonly operands: readonly EpilogueOperand[];
  /** Output channels, where an operand has one element for each. */
  readonly channels: number;
}

/** What an epilogue reads beside the sums. */
export interface EpilogueOperand {
  readonly name: string;
  readonly view: Pick<View, "buffer" | "offset">;
  /** What it has an element for. */
  readonly per: "channel" | "column" | "element" | "all";
}

const CONV_OPERANDS = { bias: "channel", factor: "channel", scale: "all", shift: "all" } as const;
const NAMES = Object.keys(CONV_OPERANDS) as (keyof typeof CONV_OPERANDS)[];
const known = new Map<string, Expr>();

/** `convEpilogue` of the sums and of bias, then perhaps factor; then perhaps scale and shift. */
export function convActEpilogue({ inputs, attrs: { activation } }: OverrideCall<Conv2dActAttrs>): Epilogue {
  const operands = inputs.slice(2).map((view, i) => ({ name: NAMES[i]!, view, per: CONV_OPERANDS[NAMES[i]!] }));
  const name = `, ${activation} of ${operands.map(({ name }) => name).join(" ")}`;
  const [bias, ...rest] = operands.map((_, i) => row(1 + i));
  const expression = memo(known, name, () => convEpilogue(activation, [row(0), bias!, ...rest]));
  return { name, expression, operands, channels: sizeOf(inputs[2]!.shape) };
}
