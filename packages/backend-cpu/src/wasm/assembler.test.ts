import { wordOf } from "@dfine/tensor/kernel";
import { describe, expect, it } from "vitest";
import { Assembler } from "./assembler.ts";
import { LANE_OPS, MEMORY_LANE_OPS, MEMORY_OPS, OPS, type ValueType } from "./opcodes.ts";

const plain = { relaxed: false, shared: false };
const relaxed = { relaxed: true, shared: false };

function start(bytes: Uint8Array): {
  run: (args: number, begin: number, end: number) => void;
  memory: WebAssembly.Memory;
} {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 16 });
  const module = new WebAssembly.Module(bytes as BufferSource);
  const { exports } = new WebAssembly.Instance(module, { env: { memory, thread: 3, own: 32768 } });
  return { run: exports.run as (args: number, begin: number, end: number) => void, memory };
}
function push(f: Assembler, type: ValueType): void {
  if (type === "i32") f.i32(64);
  else if (type === "f32") f.f32(1);
  else if (type === "v128") f.f32x4(1);
  else f.i32(64).memory("i64.load");
}

describe("every instruction has the signature that its row says", () => {
  const all = [
    ...Object.entries(OPS).map(([name, row]) => [name, row, (f: Assembler) => f.op(name as keyof typeof OPS)] as const),
    ...Object.entries(MEMORY_OPS).map(
      ([name, row]) => [name, row, (f: Assembler) => f.memory(name as keyof typeof MEMORY_OPS, 260)] as const,
    ),
    ...Object.entries(MEMORY_LANE_OPS).map(
      ([name, row]) => [name, row, (f: Assembler) => f.memoryLane(name as keyof typeof MEMORY_LANE_OPS, 1, 8)] as const,
    ),
    ...Object.entries(LANE_OPS).map(
      ([name, row]) => [name, row, (f: Assembler) => f.lane(name as keyof typeof LANE_OPS, 1)] as const,
    ),
  ];
  it.each(all)("%s", (_, row, emit) => {
    const f = new Assembler(relaxed);
    for (const type of row.takes) push(f, type);
    emit(f);
    for (const type of row.gives) f.set(f.local(type));
    expect(() => new WebAssembly.Module(f.finish() as BufferSource)).not.toThrow();
  });
});

describe("control", () => {
  it("sums units with a counted loop", () => {
    const f = new Assembler(plain);
    const [i, total, out] = [f.local("i32"), f.local("i32"), f.argLocal(0)];
    f.for(i, { from: f.begin, to: f.end }, () => f.get(total, i).op("i32.add").set(total));
    f.get(out, total).memory("i32.store");
    const { run, memory } = start(f.finish());
    const words = new Int32Array(memory.buffer);
    words[4] = 128;
    for (const [begin, end, sum] of [
      [0, 10, 45],
      [3, 3, 0],
      [-2, 2, -2],
    ] as const) {
      run(16, begin, end);
      expect(words[32]).toBe(sum);
    }
  });
  it("branches out of nested blocks, takes either side of an if, and knows its thread", () => {
    const f = new Assembler(plain);
    const x = f.local("i32");
    f.block((exit) => {
      f.loop((again) => {
        f.get(x).i32(1).op("i32.add").tee(x).get(f.begin).op("i32.lt_s").brIf(again);
        f.br(exit);
      });
    });
    f.get(f.end).if(
      () => f.i32(0).get(x).memory("i32.store"),
      () => f.i32(0).thread().memory("i32.store"),
    );
    const { run, memory } = start(f.finish());
    run(0, 7, 1);
    expect(new Int32Array(memory.buffer)[0]).toBe(7);
    run(0, 7, 0);
    expect(new Int32Array(memory.buffer)[0]).toBe(3);
  });
});

describe("madd", () => {
  it.each([plain, relaxed])("%o", (options) => {
    const f = new Assembler(options);
    const [acc, b] = [f.local("v128"), f.local("v128")];
    f.f32x4(1.5).set(acc).f32x4(3).set(b);
    f.madd(acc, acc, b).f32x4(2).get(b).madd(acc);
    f.i32(0).get(acc).memory("v128.store");
    const { run, memory } = start(f.finish());
    run(0, 0, 0);
    expect([...new Float32Array(memory.buffer, 0, 4)]).toEqual([12, 12, 12, 12]);
  });
});

describe("vectors of equal lanes", () => {
  const values = [0, -0, 1, Number.NaN, Number.NEGATIVE_INFINITY, ...Array.from({ length: 200 }, (_, i) => i / 7)];
  it("keep their bits, however many there are", () => {
    const f = new Assembler(plain);
    for (const [i, value] of values.entries())
      f.i32(i * 32)
        .f32x4(value)
        .memory("v128.store")
        .i32(i * 32 + 16)
        .i32x4(i)
        .memory("v128.store");
    const { run, memory } = start(f.finish());
    run(0, 0, 0);
    const words = new Int32Array(memory.buffer, 0, values.length * 8);
    const expected = values.flatMap((value, i) => [...Array(4).fill(wordOf(value, "f32")), ...Array(4).fill(i)]);
    expect([...words]).toEqual(expected);
  });
});

describe("mistakes are caught where they are made", () => {
  const f = () => new Assembler(plain);
  it.each([
    ["a type", () => f().i32(1).f32(1).op("i32.add"), "i32.add: takes (i32, i32), the stack has (i32, f32)"],
    ["an operand missing", () => f().i32(1).op("i32.add"), "takes (i32, i32), the stack has (i32)"],
    [
      "a block that reaches below itself",
      () => {
        const g = f().i32(1);
        g.block(() => g.set(g.local("i32")));
      },
      "takes (i32), the stack has ()",
    ],
    [
      "a block that leaves a value",
      () => {
        const g = f();
        g.block(() => g.i32(1));
      },
      "leaves i32",
    ],
    [
      "code after a branch",
      () => {
        const g = f();
        g.block((exit) => g.br(exit).i32(1));
      },
      "nothing runs after",
    ],
    ["a value left at the end", () => f().i32(1).finish(), "left on the stack: i32"],
  ])("%s", (_, build, message) => {
    expect(build).toThrow(message);
  });
});
