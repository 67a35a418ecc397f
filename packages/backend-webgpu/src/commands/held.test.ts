import { describe, expect, it } from "vitest";
import type { Block } from "../memory/gpuBuffer.ts";
import type { Command } from "./command.ts";
import { Held, type HeldCommand } from "./held.ts";
import type { Region } from "./region.ts";
import type { Shader } from "./shader.ts";

const block = (id: number): Block => ({ id, bytes: 256, gpu: undefined as unknown as GPUBuffer, batch: -1 });
const [a, b, c, d] = [1, 2, 3, 4].map(block) as [Block, Block, Block, Block];

const shaders = new Map<string, Shader>();
function shaderOf(name: string, bound: number): Shader {
  const key = `${name} ${bound}`;
  const access = Array.from({ length: bound }, (_, i) => (i === 0 ? ("write" as const) : ("read" as const)));
  const part = {
    name,
    fields: [],
    types: access.map(() => "f32"),
    shared: [],
    print: (own: string) => `fn ${own}() {}`,
  };
  const made = shaders.get(key) ?? { name, key, code: "", access, about: name, part };
  shaders.set(key, made);
  return made;
}

/** Writes the first block and reads the others. */
const command = (name: string, blocks: readonly Block[], written?: Region): HeldCommand => ({
  ...{ shader: shaderOf(name, blocks.length), blocks, words: [7], workgroups: [2, 1, 1], work: 10 },
  ...(written ? { written: (slot: number) => (slot === 0 ? written : undefined) } : {}),
});

/** What ran, by name, and what it calls in the order of calls. */
function holder(options: { maxBindings?: number; visits?: number } = {}) {
  const ran: Command[] = [];
  const held = new Held({
    run: (own) => ran.push({ ...own, words: Array.from(own.words) }),
    maxBindings: options.maxBindings ?? 8,
    limits: { visits: options.visits ?? 1000 },
  });
  return { held, ran, names: () => ran.map(({ shader }) => shader.name) };
}

describe("dispatches that wait", () => {
  it("become one where none needs another, with all their uniforms and workgroups", () => {
    const { held, ran, names } = holder();
    held.hold(command("x", [a, b]));
    held.hold(command("y", [c, b]));
    held.release();
    expect(names()).toEqual(["x | y"]);
    expect(ran[0]).toMatchObject({ blocks: [a, b, c], words: [2, 4, 7, 7], workgroups: [4, 1, 1], work: 20 });
    expect(ran[0]!.shader.access).toEqual(["write", "read", "write"]);
  });

  it("keep their uniforms as they were, whatever their caller writes there since", () => {
    const { held, ran } = holder();
    const words = [1, 2];
    held.hold({ ...command("x", [a, b]), words });
    words.fill(3);
    held.hold({ ...command("y", [c, b]), words });
    words.fill(4);
    held.release();
    held.hold({ ...command("z", [d, b]), words });
    held.release();
    expect(ran.map((own) => own.words)).toEqual([
      [2, 4, 1, 2, 3, 3],
      [4, 4],
    ]);
  });

  it.each([
    ["reads what one writes", [a, b], [c, a]],
    ["writes what one reads", [a, b], [b, c]],
    ["writes what one writes", [a, b], [a, c]],
  ] as const)("run before one that %s", (_, first, second) => {
    const { held, names } = holder();
    held.hold(command("x", first));
    held.hold(command("y", second));
    held.release();
    expect(names()).toEqual(["x", "y"]);
  });

  it("are overtaken only by what touches nothing of theirs", () => {
    const { held, names } = holder();
    held.hold(command("x", [a, b]));
    held.before(command("reads b", [c, b]));
    expect(names()).toEqual([]);
    held.before(command("reads a", [c, a]));
    expect(names()).toEqual(["x"]);
  });

  it("are no more than a device binds, and no longer than a dispatch may take", () => {
    for (const options of [{ maxBindings: 3 }, { visits: 15 }]) {
      const { held, names } = holder(options);
      held.hold(command("x", [a, b]));
      held.hold(command("y", [c, d]));
      held.release();
      expect(names()).toEqual(["x", "y"]);
    }
  });

  it("write parts of one block side by side", () => {
    const { held, names } = holder();
    const part = (offset: number, columns: number): Region => ({ offset, sizes: [4, columns], strides: [8, 1] });
    held.hold(command("left", [a, b], part(0, 3)));
    held.hold(command("right", [a, c], part(3, 5)));
    held.hold(command("over", [a, d], part(2, 2)));
    held.release();
    expect(names()).toEqual(["left | right", "over"]);
  });

  it("have their memory given back after them", () => {
    const { held, ran } = holder();
    let given = 0;
    held.hold(command("x", [a, b]));
    held.whenUnused(b, () => {
      expect(ran.length).toBe(1);
      given++;
    });
    held.whenUnused(c, () => given++);
    expect(given).toBe(1);
    held.release();
    expect(given).toBe(2);
  });
});
