import type { Kernel } from "@dfine/tensor/kernel";
import { typeOf } from "./library.ts";

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
export class Storage {
  readonly #kernel: Kernel;
  readonly #slots: Slots;

  constructor(kernel: Kernel, slots: Slots) {
    this.#kernel = kernel;
    this.#slots = slots;
  }

  /** An operand's element as a value of its dtype. */
  load(operand: number, pointer: string): string {
    return this.#fromWord(operand, this.#element(operand, pointer), 1);
  }

  /** Four elements from `pointer` on, `step` apart. */
  loadFour(operand: number, pointer: string, step: string): string {
    if (this.#inFours(operand)) return this.#fromWord(operand, this.#four(operand, pointer), 4);
    return this.gather(
      operand,
      [0, 1, 2, 3].map((c) => along(pointer, c, step)),
    );
  }

  /** Four elements from anywhere. */
  gather(operand: number, pointers: readonly string[]): string {
    const { dtype } = this.#kernel.operands[operand]!;
    return `${typeOf(dtype, 4)}(${pointers.map((pointer) => this.load(operand, pointer)).join(", ")})`;
  }

  /** A statement that stores a value of the operand's dtype. */
  store(operand: number, pointer: string, value: string): string {
    return `${this.#element(operand, pointer)} = ${this.#toWord(operand, value, 1)};`;
  }

  /** Statements that store four values, `step` apart. */
  storeFour(operand: number, pointer: string, { value, step }: { value: string; step: string }): string[] {
    const word = this.#toWord(operand, value, 4);
    if (this.#inFours(operand)) return [`${this.#four(operand, pointer)} = ${word};`];
    return [0, 1, 2, 3].map((c) => `${this.#element(operand, along(pointer, c, step))} = (${word})[${c}];`);
  }

  #inFours(operand: number): boolean {
    return this.#slots.inFours[this.#slots.of[operand]!]!;
  }
  #four(operand: number, pointer: string): string {
    return `b${this.#slots.of[operand]}[(${pointer}) >> 2u]`;
  }
  #element(operand: number, pointer: string): string {
    if (this.#inFours(operand)) return `${this.#four(operand, pointer)}[(${pointer}) & 3i]`;
    return `b${this.#slots.of[operand]}[${pointer}]`;
  }
  #isWords(operand: number): boolean {
    return slotDtype(this.#kernel, this.#slots, this.#slots.of[operand]!) === "i32";
  }
  #fromWord(operand: number, word: string, width: 1 | 4): string {
    const { dtype } = this.#kernel.operands[operand]!;
    if (dtype === "bool") return `(${word} != ${typeOf("i32", width)}(0i))`;
    return dtype === "f32" && this.#isWords(operand) ? `bitcast<${typeOf("f32", width)}>(${word})` : word;
  }
  #toWord(operand: number, value: string, width: 1 | 4): string {
    const { dtype } = this.#kernel.operands[operand]!;
    if (dtype === "bool") return `${typeOf("i32", width)}(${value})`;
    return dtype === "f32" && this.#isWords(operand) ? `bitcast<${typeOf("i32", width)}>(${value})` : value;
  }
}

const along = (pointer: string, c: number, step: string): string =>
  c === 0 ? pointer : `${pointer} + ${step === "1i" ? `${c}i` : `${c}i * ${step}`}`;
