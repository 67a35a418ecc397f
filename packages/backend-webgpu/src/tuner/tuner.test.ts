import { BackendError, type Buffer } from "@dfine/tensor";
import { describe, expect, it } from "vitest";
import type { MetProduct } from "../kernels/runtime.ts";
import { noChoices, readChoices, type TunedChoices, writeChoices } from "./choices.ts";
import { type Track, Tuner } from "./tuner.ts";

const lie = { alongK: true, inFours: false };
const buffer = (length: number): Buffer => ({ length, dtype: "f32" });

/** A square product. */
function met(side: number): MetProduct {
  const sizes = { m: side, n: side, k: side, outer: 1, inner: side, batch: 1 };
  const view = () => ({ buffer: buffer(side * side), offset: 0 });
  return {
    product: { op: "matmul", sizes, lies: { a: lie, b: lie }, mayPart: true },
    ...{ factors: { a: view(), b: view() }, c: view() },
    run: () => undefined,
  };
}

/** An adapter on which kernels take so long by name, and a clock that goes on while they run. */
function adapter(times: Readonly<Record<string, number>>) {
  let clock = 0;
  let [entered, left] = [0, 0];
  const track: Track = {
    enter({ lengths }) {
      entered++;
      expect([...lengths.values()]).toHaveLength(3);
      return {
        ...{ candidates: Object.keys(times), usual: "usual" },
        time: async (name, runs) => {
          clock += runs * times[name]!;
          return { milliseconds: times[name]! };
        },
        leave: () => void left++,
      };
    },
  };
  return { track, now: () => clock, counts: () => ({ entered, left }) };
}

const large = adapter({ usual: 4, "tiled 128×128": 1, "tiled 16×64": 9 });
const small = adapter({ usual: 4, "tiled 128×128": 9, "tiled 16×64": 2 });
const CLASS = "matmul 64 64 64 1";

describe("a tuner", () => {
  it("chooses by what it measured on its adapter, once for each class", async () => {
    for (const [{ track, now, counts }, best] of [
      [large, "tiled 128×128"],
      [small, "tiled 16×64"],
    ] as const) {
      const told: TunedChoices[] = [];
      const tuner = new Tuner({ adapter: "a card", seconds: 9, now, onChoices: (choices) => told.push(choices) });
      expect(tuner.choiceOf(CLASS)).toBeUndefined();
      for (const side of [60, 64, 40]) tuner.meet(met(side));
      await tuner.measure(track);
      expect(tuner.choiceOf(CLASS)).toBe(best);
      expect(counts()).toEqual({ entered: 1, left: 1 });
      tuner.meet(met(50));
      await tuner.measure(track);
      expect(counts().entered).toBe(1);
      expect(told).toEqual([tuner.choices]);
      expect(told[0]!.choices[CLASS]).toMatchObject({ kernel: best, usual: "usual", usualMilliseconds: 4 });
    }
  });

  it("begins no class when its time is over, and measures it when it is met again", async () => {
    const { track, now } = adapter({ usual: 4 });
    const tuner = new Tuner({ adapter: "a card", seconds: 0.01, now });
    for (const side of [8, 16, 32]) tuner.meet(met(side));
    await tuner.measure(track);
    expect(Object.keys(tuner.choices.choices)).toEqual(["matmul 8 8 8 1"]);
    tuner.meet(met(32));
    await tuner.measure(track);
    expect(Object.keys(tuner.choices.choices)).toEqual(["matmul 8 8 8 1", "matmul 32 32 32 1"]);
  });

  it("begins with what is known of its adapter, and of no other", () => {
    const choice = { kernel: "tiled 128×128", milliseconds: 1, usual: "usual", usualMilliseconds: 2 };
    const known: TunedChoices = { ...noChoices("a card, driver 1"), choices: { [CLASS]: choice } };
    const on = (name: string) => new Tuner({ adapter: name, known, seconds: 1 }).choiceOf(CLASS);
    expect(on("a card, driver 1")).toBe("tiled 128×128");
    expect(on("a card, driver 2")).toBeUndefined();
  });

  it("goes without a product that finds no memory", async () => {
    const tuner = new Tuner({ adapter: "a card", seconds: 1 });
    tuner.meet(met(64));
    await tuner.measure({ enter: () => undefined });
    expect(tuner.choices.choices).toEqual({});
  });
});

describe("a file of choices", () => {
  const choice = { kernel: "tiled 32×32×16 by 64", milliseconds: 0.5, usual: "other", usualMilliseconds: 0.75 };
  const choices: TunedChoices = { ...noChoices("a card"), choices: { [CLASS]: choice } };

  it("is read as it was written", () => {
    expect(readChoices(writeChoices(choices), "kept.json")).toEqual(choices);
  });

  it.each<[string, unknown, RegExp]>([
    ["no JSON", undefined, /kept\.json is no JSON/],
    ["a list", [], /its "format" is not "dfine webgpu products 1"/],
    ["another format", { ...choices, format: "dfine webgpu products 2" }, /its "format"/],
    ["no adapter", { ...choices, adapter: 3 }, /lacks "adapter", a text/],
    ["no choices", { ...choices, choices: [] }, /lacks "choices", an object/],
    ["a choice that is none", { ...choices, choices: { [CLASS]: { ...choice, kernel: 1 } } }, /"matmul 64 64 64 1"/],
    ["an impossible time", { ...choices, choices: { [CLASS]: { ...choice, milliseconds: -1 } } }, /which is not/],
  ])("is refused: %s", (_, value, message) => {
    const read = () => readChoices(value === undefined ? "{" : JSON.stringify(value), "kept.json");
    expect(read).toThrow(BackendError);
    expect(read).toThrow(message);
  });
});
