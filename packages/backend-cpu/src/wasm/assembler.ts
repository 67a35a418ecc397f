import { memo, wordOf } from "@dfine/tensor/kernel";
import { CONSTANTS_AT, MOST_CONSTANTS } from "../runtime.ts";
import { Bytes, encodeModule } from "./encode.ts";
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
import { ALONE, NONE, Operands } from "./operands.ts";

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
  #code = new Bytes();
  readonly #operands = new Operands();
  #depth = 0;
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
    for (const { index, type } of locals) this.#move("local.get", NONE, ALONE[type]).byte(RAW.localGet).unsigned(index);
    return this;
  }
  set({ index, type }: Local): this {
    this.#move("local.set", ALONE[type], NONE).byte(RAW.localSet).unsigned(index);
    return this;
  }
  tee({ index, type }: Local): this {
    this.#move("local.tee", ALONE[type], ALONE[type]).byte(RAW.localTee).unsigned(index);
    return this;
  }

  i32(value: number): this {
    this.#move("i32.const", NONE, ALONE.i32).byte(RAW.i32Const).signed(value);
    return this;
  }
  f32(value: number): this {
    this.#move("f32.const", NONE, ALONE.f32).byte(RAW.f32Const).f32(value);
    return this;
  }
  /** Four equal float lanes. */
  f32x4(value: number): this {
    return this.#equalLanes(wordOf(value, "f32"));
  }
  /** Four integer lanes, equal when one value is given. */
  i32x4(...lanes: [number] | [number, number, number, number]): this {
    if (lanes.length === 1) return this.#equalLanes(lanes[0]);
    return this.#immediate(lanes);
  }

  /** Instructions without immediates, in order. */
  op(...names: readonly Op[]): this {
    for (const name of names) this.#instruction(name, OPS[name]);
    return this;
  }
  /** A load or store at the address on the stack plus `offset` bytes. */
  memory(name: MemoryOp, offset = 0): this {
    this.#instruction(name, MEMORY_OPS[name]).byte(0).unsigned(offset);
    return this;
  }
  memoryLane(name: MemoryLaneOp, lane: number, offset = 0): this {
    this.#instruction(name, MEMORY_LANE_OPS[name]).byte(0).unsigned(offset).byte(lane);
    return this;
  }
  lane(name: LaneOp, lane: number): this {
    this.#instruction(name, LANE_OPS[name]).byte(lane);
    return this;
  }
  /** Lanes 0–3 of the deeper vector and 4–7 of the upper one, in the order given. */
  shuffle(...lanes: [number, number, number, number]): this {
    const code = this.#move("i8x16.shuffle", ["v128", "v128"], ALONE.v128).bytes(RAW.shuffle);
    for (const lane of lanes) for (let i = 0; i < 4; i++) code.byte(lane * 4 + i);
    return this;
  }
  /** i32 `condition ? a : b` of the stack's a, b, condition. */
  select(): this {
    this.#move("select", ["i32", "i32", "i32"], ALONE.i32).byte(RAW.select);
    return this;
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
    return this.#nest(RAW.block, body);
  }
  loop(body: (label: Label) => void): this {
    return this.#nest(RAW.loop, body);
  }
  /** Pops an i32 condition. */
  if(whenTrue: () => void, whenFalse?: () => void): this {
    this.#operands.take("if", ALONE.i32);
    return this.#nest(RAW.if, () => {
      whenTrue();
      if (!whenFalse) return;
      this.#operands.close();
      this.#code.byte(RAW.else);
      whenFalse();
    });
  }
  br(label: Label): this {
    this.#move("br", NONE, NONE)
      .byte(RAW.br)
      .unsigned(this.#depth - label.depth);
    this.#operands.leave();
    return this;
  }
  brIf(label: Label): this {
    this.#move("br_if", ALONE.i32, NONE)
      .byte(RAW.brIf)
      .unsigned(this.#depth - label.depth);
    return this;
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
    this.#operands.end();
    const code = this.#code;
    this.#code = new Bytes();
    this.#writeConstants();
    const runs: { type: ValueType; count: number }[] = [];
    for (const type of this.#locals) {
      const last = runs.at(-1);
      if (last?.type === type) last.count++;
      else runs.push({ type, count: 1 });
    }
    return encodeModule({
      shared: this.options.shared,
      globals: this.#globals,
      body: (bytes) => {
        bytes.unsigned(runs.length);
        for (const { type, count } of runs) bytes.unsigned(count).byte(TYPE_BYTE[type]);
        bytes.bytes(this.#code.written).bytes(code.written).byte(RAW.end);
      },
    });
  }

  /**
   * A vector of four equal words. As an immediate it takes three instructions on x86 each time, and seven at twice the width; so it
   * is read from the thread's own memory, into which `run` writes it first.
   */
  #equalLanes(word: number): this {
    const known = this.#constants.get(word);
    const isImmediate = word === 0 || word === -1 || (known === undefined && this.#constants.size === MOST_CONSTANTS);
    if (isImmediate) return this.#immediate([word, word, word, word]);
    const offset = known ?? CONSTANTS_AT + this.#constants.size * 4;
    this.#constants.set(word, offset);
    // A local that nothing else has had.
    this.#own ??= { index: 2 + this.#locals.push("i32"), type: "i32" };
    return this.get(this.#own).memory("v128.load32_splat", offset);
  }
  #immediate(words: readonly number[]): this {
    const code = this.#move("v128.const", NONE, ALONE.v128).bytes(RAW.v128Const);
    for (const word of words) code.i32(word);
    return this;
  }
  #writeConstants(): void {
    if (!this.#own) return;
    this.own().set(this.#own);
    for (const [word, offset] of this.#constants) this.get(this.#own).i32(word).memory("i32.store", offset);
  }
  #global(name: "thread" | "own"): this {
    if (!this.#globals.includes(name)) this.#globals.push(name);
    this.#move("global.get", NONE, ALONE.i32).byte(RAW.globalGet).unsigned(this.#globals.indexOf(name));
    return this;
  }
  /** Writes an instruction, and hands out where its immediates come. */
  #instruction(name: string, { bytes, takes, gives }: Instruction): Bytes {
    return this.#move(name, takes, gives).bytes(bytes);
  }
  /** Takes operands from the stack and puts results there, and hands out where the instruction's bytes come. */
  #move(name: string, takes: readonly ValueType[], gives: readonly ValueType[]): Bytes {
    this.#operands.take(name, takes);
    this.#operands.give(gives);
    return this.#code;
  }
  #nest(opening: number, body: (label: Label) => void): this {
    this.#operands.block(() => {
      this.#code.byte(opening).byte(RAW.voidBlock);
      this.#depth++;
      body({ depth: this.#depth });
      this.#depth--;
      this.#code.byte(RAW.end);
    });
    return this;
  }
}
