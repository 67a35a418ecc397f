import { memo, wordOf } from "@dfine/tensor/kernel";
import { CONSTANTS_AT, MOST_CONSTANTS } from "../runtime.ts";
import { encodeModule, floatBytes, intBytes, signed, unsigned } from "./encode.ts";
import {
  type Instruction,
  LANE_OPS,
  type LaneOp,
  MEMORY_LANE_OPS,
  MEMORY_OPS,
  type MemoryLaneOp,
  type MemoryOp,
  OPS,
  type Op,
  RAW,
  TYPE_BYTE,
  type ValueType,
} from "./opcodes.ts";

export interface Local {
  readonly index: number;
  readonly type: ValueType;
}

/** That many, where the number is known. */
type Locals<Count extends number, Found extends Local[] = []> = number extends Count
  ? Local[]
  : Found["length"] extends Count
    ? Found
    : Locals<Count, [...Found, Local]>;

/** Where `br` and `brIf` go: past the end of a block, or back to the start of a loop. */
export interface Label {
  readonly depth: number;
}

export interface AssemblerOptions {
  /** Whether `madd` may use relaxed SIMD. */
  readonly relaxed: boolean;
  readonly shared: boolean;
  /** Whether neighbouring vectors are merged when this is compiled: by it kernels choose their register tile. */
  readonly wide?: boolean;
}

export interface Range {
  readonly from: number | Local;
  /** Excluded. Compared as signed. */
  readonly to: number | Local;
  readonly step?: number | Local;
}

/**
 * Builds a module with one function, `run(args, begin, end)`, in stack order: `f.get(a, b).op("f32.add").set(c)`.
 * Every call checks the types on the operand stack and throws where the mistake is made.
 */
export class Assembler {
  readonly options: AssemblerOptions;
  /** Address of the launch's 32-bit words. */
  readonly args: Local = { index: 0, type: "i32" };
  /** First work unit. */
  readonly begin: Local = { index: 1, type: "i32" };
  /** One past the last work unit. */
  readonly end: Local = { index: 2, type: "i32" };
  readonly #locals: ValueType[] = [];
  readonly #free = new Map<ValueType, Local[]>();
  readonly #code: number[] = [];
  readonly #stack: ValueType[] = [];
  #floor = 0;
  #depth = 0;
  #reachable = true;
  readonly #globals: string[] = [];
  /** Words of vectors whose lanes are equal, and how far behind `own` they lie. */
  readonly #constants = new Map<number, number>();
  #own: Local | undefined;

  constructor(options: AssemblerOptions) {
    this.options = options;
  }

  /** A new local, zero at the function's start; one given back by `release` may come again, with its old value. */
  local(type: ValueType): Local {
    return this.#free.get(type)?.pop() ?? { index: 2 + this.#locals.push(type), type };
  }
  locals<Count extends number>(type: ValueType, count: Count): Locals<Count> {
    return Array.from({ length: count }, () => this.local(type)) as Locals<Count>;
  }
  /** Lets later `local` calls reuse these. */
  release(...locals: readonly Local[]): void {
    for (const local of locals) memo(this.#free, local.type, () => []).push(local);
  }

  get(...locals: readonly Local[]): this {
    for (const local of locals) this.#emit([RAW.localGet, ...unsigned(local.index)], [], [local.type]);
    return this;
  }
  set(local: Local): this {
    return this.#emit([RAW.localSet, ...unsigned(local.index)], [local.type], []);
  }
  tee(local: Local): this {
    return this.#emit([RAW.localTee, ...unsigned(local.index)], [local.type], [local.type]);
  }

  i32(value: number): this {
    return this.#emit([RAW.i32Const, ...signed(value)], [], ["i32"]);
  }
  f32(value: number): this {
    return this.#emit([RAW.f32Const, ...floatBytes(value)], [], ["f32"]);
  }
  /** Four equal float lanes. */
  f32x4(value: number): this {
    return this.#equalLanes(wordOf(value, "f32"));
  }
  /** Four integer lanes, equal when one value is given. */
  i32x4(...lanes: [number] | [number, number, number, number]): this {
    if (lanes.length === 1) return this.#equalLanes(lanes[0]);
    return this.#emit([...RAW.v128Const, ...lanes.flatMap(intBytes)], [], ["v128"]);
  }

  /** Instructions without immediates, in order. */
  op(...names: readonly Op[]): this {
    for (const name of names) this.#instruction(name, OPS[name], []);
    return this;
  }
  /** A load or store at the address on the stack plus `offset` bytes. */
  memory(name: MemoryOp, offset = 0): this {
    return this.#instruction(name, MEMORY_OPS[name], [0, ...unsigned(offset)]);
  }
  memoryLane(name: MemoryLaneOp, lane: number, offset = 0): this {
    return this.#instruction(name, MEMORY_LANE_OPS[name], [0, ...unsigned(offset), lane]);
  }
  lane(name: LaneOp, lane: number): this {
    return this.#instruction(name, LANE_OPS[name], [lane]);
  }
  /** Lanes 0–3 of the deeper vector and 4–7 of the upper one, in the order given. */
  shuffle(...lanes: [number, number, number, number]): this {
    const bytes = lanes.flatMap((lane) => [0, 1, 2, 3].map((i) => lane * 4 + i));
    return this.#emit([...RAW.shuffle, ...bytes], ["v128", "v128"], ["v128"]);
  }
  /** i32 `condition ? a : b` of the stack's a, b, condition. */
  select(): this {
    return this.#emit([RAW.select], ["i32", "i32", "i32"], ["i32"]);
  }
  /** Index of the running thread, 0 (the caller) to threads − 1: selects a thread's own scratch. */
  thread(): this {
    return this.#global("thread");
  }
  /** Address of `CONSTANTS_AT` bytes that the running thread has for itself while a chunk runs. */
  own(): this {
    return this.#global("own");
  }

  /** The word at `index` of the launch's arguments. */
  arg(index: number): this {
    return this.get(this.args).memory("i32.load", index * 4);
  }
  /** A local holding the word at `index` of the launch's arguments. */
  argLocal(index: number): Local {
    const local = this.local("i32");
    this.arg(index).set(local);
    return local;
  }

  /**
   * `acc += a · b` for f32 or v128 (four floats); without `a` and `b`, of the two operands on the stack.
   * Rounded once when relaxed SIMD fuses it; scalars are always rounded twice.
   */
  madd(acc: Local, a?: Local, b?: Local): this {
    if (a && b) this.get(a, b);
    if (acc.type === "f32") return this.op("f32.mul").get(acc).op("f32.add").set(acc);
    if (this.options.relaxed) return this.get(acc).op("f32x4.relaxed_madd").set(acc);
    return this.op("f32x4.mul").get(acc).op("f32x4.add").set(acc);
  }

  block(body: (label: Label) => void): this {
    return this.#nest([RAW.block, RAW.voidBlock], body);
  }
  loop(body: (label: Label) => void): this {
    return this.#nest([RAW.loop, RAW.voidBlock], body);
  }
  /** Pops an i32 condition. */
  if(whenTrue: () => void, whenFalse?: () => void): this {
    this.#pop("if", ["i32"]);
    return this.#nest([RAW.if, RAW.voidBlock], () => {
      whenTrue();
      if (!whenFalse) return;
      this.#close();
      this.#code.push(RAW.else);
      this.#reachable = true;
      whenFalse();
    });
  }
  br(label: Label): this {
    this.#emit([RAW.br, ...unsigned(this.#depth - label.depth)], [], []);
    this.#reachable = false;
    return this;
  }
  brIf(label: Label): this {
    return this.#emit([RAW.brIf, ...unsigned(this.#depth - label.depth)], ["i32"], []);
  }
  /** Pushes a local or a constant i32. */
  value(value: number | Local): this {
    return typeof value === "number" ? this.i32(value) : this.get(value);
  }
  /** Counts `index` from `from` while it is below `to`; afterwards it holds the first value not below. */
  for(index: Local, range: Range, body: () => void): this {
    const { from, to, step = 1 } = range;
    this.value(from).set(index);
    return this.block((exit) => {
      this.get(index).value(to).op("i32.ge_s").brIf(exit);
      this.loop((again) => {
        body();
        this.get(index).value(step).op("i32.add").tee(index).value(to).op("i32.lt_s").brIf(again);
      });
    });
  }

  /** The finished module. */
  finish(): Uint8Array {
    if (this.#stack.length > 0 && this.#reachable)
      throw new Error(`assembler: left on the stack: ${this.#stack.join(", ")}`);
    const code = this.#code.splice(0);
    this.#writeConstants();
    const runs: { type: ValueType; count: number }[] = [];
    for (const type of this.#locals) {
      const last = runs.at(-1);
      if (last?.type === type) last.count++;
      else runs.push({ type, count: 1 });
    }
    const declared = runs.flatMap(({ type, count }) => [...unsigned(count), TYPE_BYTE[type]]);
    return encodeModule({
      shared: this.options.shared,
      globals: this.#globals,
      body: [...unsigned(runs.length), ...declared, ...this.#code, ...code, RAW.end],
    });
  }

  /**
   * A vector of four equal words. As an immediate it takes three instructions on x86 each time, and seven at twice the width; so it
   * is read from the thread's own memory, into which `run` writes it first.
   */
  #equalLanes(word: number): this {
    const known = this.#constants.get(word);
    const isImmediate = word === 0 || word === -1 || (known === undefined && this.#constants.size === MOST_CONSTANTS);
    if (isImmediate) return this.#emit([...RAW.v128Const, ...[word, word, word, word].flatMap(intBytes)], [], ["v128"]);
    const offset = known ?? CONSTANTS_AT + this.#constants.size * 4;
    this.#constants.set(word, offset);
    // A local that nothing else has had.
    this.#own ??= { index: 2 + this.#locals.push("i32"), type: "i32" };
    return this.get(this.#own).memory("v128.load32_splat", offset);
  }
  #writeConstants(): void {
    if (!this.#own) return;
    this.#reachable = true;
    this.own().set(this.#own);
    for (const [word, offset] of this.#constants) this.get(this.#own).i32(word).memory("i32.store", offset);
  }
  #global(name: "thread" | "own"): this {
    if (!this.#globals.includes(name)) this.#globals.push(name);
    return this.#emit([RAW.globalGet, this.#globals.indexOf(name)], [], ["i32"]);
  }
  #instruction(name: string, { bytes, takes, gives }: Instruction, immediates: readonly number[]): this {
    this.#pop(name, takes);
    this.#code.push(...bytes, ...immediates);
    this.#stack.push(...gives);
    return this;
  }
  #emit(bytes: readonly number[], takes: readonly ValueType[], gives: readonly ValueType[]): this {
    return this.#instruction(`opcode 0x${bytes[0]!.toString(16)}`, { bytes, takes, gives }, []);
  }
  #pop(name: string, takes: readonly ValueType[]): void {
    if (!this.#reachable) throw new Error(`assembler: ${name}: nothing runs after an unconditional branch`);
    const at = this.#stack.length - takes.length;
    const have = at < this.#floor ? this.#stack.slice(this.#floor) : this.#stack.slice(at);
    if (at < this.#floor || have.some((type, i) => type !== takes[i]))
      throw new Error(`assembler: ${name}: takes (${takes.join(", ")}), the stack has (${have.join(", ")})`);
    this.#stack.length = at;
  }
  #close(): void {
    if (this.#reachable && this.#stack.length !== this.#floor)
      throw new Error(`assembler: a block leaves ${this.#stack.slice(this.#floor).join(", ")} on the stack`);
    this.#stack.length = this.#floor;
  }
  #nest(opening: readonly number[], body: (label: Label) => void): this {
    if (!this.#reachable) throw new Error("assembler: nothing runs after an unconditional branch");
    const outer = this.#floor;
    this.#floor = this.#stack.length;
    this.#code.push(...opening);
    this.#depth++;
    body({ depth: this.#depth });
    this.#depth--;
    this.#close();
    this.#code.push(RAW.end);
    this.#floor = outer;
    this.#reachable = true;
    return this;
  }
}
