import type { Kernel } from "@dfine/tensor/kernel";
import { typeOf, type Width } from "./library.ts";

/** How a kernel's operands are bound: views of one buffer share a slot, and a slot may be seen in fours. */
export interface Slots {
  /** Slot of each operand. */
  readonly of: readonly number[];
  /** By slot: bound as vec4, because its views all walk in aligned fours along the innermost axis. */
  readonly inFours: readonly boolean[];
}

export const slotsText = ({ of, inFours }: Slots): string => `${of}|${inFours.map((four) => (four ? 4 : 1)).join("")}`;

/** Element type of a slot: words where views of several dtypes share it. */
export function slotDtype(kernel: Kernel, slots: Slots, slot: number): "f32" | "i32" {
  return kernel.operands.every(({ dtype }, k) => slots.of[k] !== slot || dtype === "f32") ? "f32" : "i32";
}

/** Reads and writes the operands of a kernel, one element or four at a time. */
export function storageOf(kernel: Kernel, slots: Slots) {
  const slotOf = (operand: number): number => slots.of[operand]!;
  const dtypeOf = (operand: number) => kernel.operands[operand]!.dtype;
  const isInFours = (operand: number): boolean => slots.inFours[slotOf(operand)]!;
  const isFloatInWords = (operand: number): boolean =>
    dtypeOf(operand) === "f32" && slotDtype(kernel, slots, slotOf(operand)) === "i32";

  const four = (operand: number, pointer: string): string => `b${slotOf(operand)}[(${pointer}) >> 2u]`;
  const element = (operand: number, pointer: string): string =>
    isInFours(operand) ? `${four(operand, pointer)}[(${pointer}) & 3i]` : `b${slotOf(operand)}[${pointer}]`;

  const fromWord = (operand: number, word: string, width: Width): string => {
    if (dtypeOf(operand) === "bool") return `(${word} != ${typeOf("i32", width)}(0i))`;
    return isFloatInWords(operand) ? `bitcast<${typeOf("f32", width)}>(${word})` : word;
  };
  const toWord = (operand: number, value: string, width: Width): string => {
    if (dtypeOf(operand) === "bool") return `${typeOf("i32", width)}(${value})`;
    return isFloatInWords(operand) ? `bitcast<${typeOf("i32", width)}>(${value})` : value;
  };

  const load = (operand: number, pointer: string): string => fromWord(operand, element(operand, pointer), 1);
  const gather = (operand: number, pointer: (c: number) => string): string =>
    `${typeOf(dtypeOf(operand), 4)}(${[0, 1, 2, 3].map((c) => load(operand, pointer(c))).join(", ")})`;

  return {
    /** An operand's element as a value of its dtype. */
    load,
    /** Four elements from anywhere. */
    gather,
    /** Four elements from `pointer` on, `step` apart. */
    loadFour: (operand: number, pointer: string, step: string): string =>
      isInFours(operand)
        ? fromWord(operand, four(operand, pointer), 4)
        : gather(operand, (c) => along(pointer, c, step)),
    /** A statement that stores a value of the operand's dtype. */
    store: (operand: number, pointer: string, value: string): string =>
      `${element(operand, pointer)} = ${toWord(operand, value, 1)};`,
    /** Statements that store four values, `step` apart. */
    storeFour(operand: number, pointer: string, { value, step }: { value: string; step: string }): string[] {
      const word = toWord(operand, value, 4);
      if (isInFours(operand)) return [`${four(operand, pointer)} = ${word};`];
      return [0, 1, 2, 3].map((c) => `${element(operand, along(pointer, c, step))} = (${word})[${c}];`);
    },
  };
}

const along = (pointer: string, c: number, step: string): string =>
  c === 0 ? pointer : `${pointer} + ${step === "1i" ? `${c}i` : `${c}i * ${step}`}`;
