import {
  COSTLY,
  type Epilogue,
  type EpilogueOperand,
  type Expr,
  expressionText,
  memo,
  postorder,
  type View,
} from "@dfine/tensor/kernel";
import { printExpression } from "../print/printNode.ts";
import type { CpuRuntime } from "../runtime.ts";
import type { Assembler, Local } from "../wasm/assembler.ts";
import { loadRow } from "../wasm/vectors.ts";

// What becomes of sums before they are stored. A tile that lies whole in c is finished in registers, others in the thread's
// own memory (`settleRows.ts`), and so is what computes exponentials, whose code would be long for each height of a tile.

type Per = EpilogueOperand["per"];

/** What an epilogue's code depends on. */
export interface EpilogueKind {
  /** Of `row(0)`, the sum, and `row(1 + i)`, what operand i holds. */
  readonly expression: Expr;
  readonly per: readonly Per[];
}

/** An epilogue whose operands lie at these addresses; of those that have an element for each of c's, bytes from c to them. */
export interface BoundEpilogue {
  readonly kind: EpilogueKind;
  readonly addresses: readonly number[];
}

/** Words that an epilogue needs of a launch: as many operands it may have. */
export const EPILOGUE_NAMES = ["operand0", "operand1", "operand2", "operand3", "operand4"] as const;
type Name = (typeof EPILOGUE_NAMES)[number];

const BYTES = 4;

/** The epilogue of a product that is written to c. */
export function boundEpilogue(
  runtime: CpuRuntime,
  epilogue: Epilogue | undefined,
  c: Pick<View, "buffer" | "offset">,
): BoundEpilogue | undefined {
  if (!epilogue) return undefined;
  const { expression, operands } = epilogue;
  const from = (per: Per): number => (per === "element" ? runtime.pointer(c) : 0);
  return {
    kind: { expression, per: operands.map(({ per }) => per) },
    addresses: operands.map(({ view, per }) => (runtime.pointer(view) - from(per)) | 0),
  };
}

const texts = new WeakMap<Expr, string>();

export const kindText = (kind: EpilogueKind | undefined): string =>
  kind ? `/${kind.per.join()} ${memo(texts, kind.expression, () => expressionText([kind.expression]))}` : "";

export const epilogueWords = (epilogue: BoundEpilogue | undefined): Record<Name, number> =>
  Object.fromEntries(EPILOGUE_NAMES.map((name, i) => [name, epilogue?.addresses[i] ?? 0])) as Record<Name, number>;

/** An epilogue as the channels from `first` on see it. */
export const ofChannels = ({ kind, addresses }: BoundEpilogue, first: number): BoundEpilogue => ({
  kind,
  addresses: addresses.map((address, i) => (kind.per[i] === "channel" ? address + first * BYTES : address)),
});

/** Whether whole tiles are finished in registers. */
export const isShort = ({ expression }: EpilogueKind): boolean =>
  !postorder([expression]).some(({ op }) => COSTLY.has(op));

export interface Finish {
  readonly arg: Record<Name, Local>;
  readonly channel: Local;
  /** Added to `channel`. */
  readonly offset?: number;
  /** Of neighbours in a row, if operands have an element for each. */
  readonly sums: readonly Local[];
  /** Pushes the address of an operand's elements for these sums, side by side. */
  readonly elements?: (word: Local, per: Per) => void;
}

/** Applies an epilogue to sums of one channel, in place. */
export function finish(
  f: Assembler,
  { expression, per }: EpilogueKind,
  { arg, channel, offset = 0, sums, elements }: Finish,
): void {
  const address = f.local("i32");
  const operands = per.map((own, i) => {
    const word = arg[EPILOGUE_NAMES[i]!];
    const isShared = own === "channel" || own === "all";
    const values = f.locals("v128", isShared ? 1 : sums.length);
    if (isShared) {
      f.get(word);
      if (own === "channel") f.get(channel).i32(2).op("i32.shl", "i32.add");
      f.memory("v128.load32_splat", own === "channel" ? offset * BYTES : 0).set(values[0]!);
    } else {
      elements!(word, own);
      f.set(address);
      loadRow(f, values, address);
    }
    return values;
  });
  for (const [j, sum] of sums.entries()) {
    printExpression(f, expression, [sum, ...operands.map((values) => values[j % values.length]!)]);
    f.set(sum);
  }
  f.release(address, ...operands.flat());
}
