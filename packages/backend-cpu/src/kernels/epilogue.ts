import { type Activation, convEpilogue, row } from "@dfine/tensor/kernel";
import { printExpression } from "../print/printNode.ts";
import type { Assembler, Local } from "../wasm/assembler.ts";

/** What becomes of the sums of a convolution before they are stored: `convEpilogue` of values at these addresses. */
export interface Epilogue {
  readonly activation: Activation;
  /** Bias, then perhaps factor, one per output channel; then perhaps scale and shift, one each. */
  readonly addresses: readonly number[];
}

/** Words that an epilogue needs of a launch. */
export const EPILOGUE_NAMES = ["bias", "factor", "scale", "shift"] as const;
/** How many of them are one per channel. */
const PER_CHANNEL = 2;
type Name = (typeof EPILOGUE_NAMES)[number];

/** What an epilogue's code depends on. */
export interface EpilogueKind {
  readonly activation: Activation;
  readonly count: number;
}

export const epilogueKind = (epilogue: Epilogue | undefined): EpilogueKind | undefined =>
  epilogue && { activation: epilogue.activation, count: epilogue.addresses.length };

export const kindText = (kind: EpilogueKind | undefined): string => (kind ? `/${kind.activation}${kind.count}` : "");

export function epilogueWords(epilogue: Epilogue | undefined): Record<Name, number> {
  const [bias = 0, factor = 0, scale = 0, shift = 0] = epilogue?.addresses ?? [];
  return { bias, factor, scale, shift };
}

/** An epilogue as the channels from `first` on see it. */
export const ofChannels = ({ activation, addresses }: Epilogue, first: number): Epilogue => ({
  activation,
  addresses: addresses.map((address, i) => (i < PER_CHANNEL ? address + first * 4 : address)),
});

export interface Finish {
  readonly arg: Record<Name, Local>;
  readonly channel: Local;
  /** Added to `channel`. */
  readonly offset?: number;
  readonly sums: readonly Local[];
}

/** Applies an epilogue to sums of one channel, in place. */
export function finish(f: Assembler, kind: EpilogueKind, { arg, channel, offset = 0, sums }: Finish): void {
  const operands = EPILOGUE_NAMES.slice(0, kind.count).map((name, i) => {
    const operand = f.local("v128");
    f.get(arg[name]);
    if (i < PER_CHANNEL) f.get(channel).i32(2).op("i32.shl", "i32.add");
    f.memory("v128.load32_splat", i < PER_CHANNEL ? offset * 4 : 0).set(operand);
    return operand;
  });
  const [bias, ...rest] = operands.map((_, i) => row(1 + i));
  for (const sum of sums) {
    printExpression(f, convEpilogue(kind.activation, [row(0), bias!, ...rest]), [sum, ...operands]);
    f.set(sum);
  }
  f.release(...operands);
}
