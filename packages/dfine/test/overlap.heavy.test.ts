import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cpu } from "@dfine/backend-cpu";
import { webgpu } from "@dfine/backend-webgpu";
import { type Backend, liveStorages, Random } from "@dfine/tensor";
import { afterAll, beforeAll, expect, test } from "vitest";
import { oneDevice } from "../../backend-webgpu/test/oneDevice.ts";
import type { Config } from "../src/config/config.ts";
import type { RgbImage } from "../src/data/image.ts";
import { cocoDataset } from "../src/data/parseCoco.ts";
import { DFine } from "../src/dfine.ts";
import { makeDigits } from "../src/node/demo/digits.ts";
import type { TrainingBatch } from "../src/train/batch.ts";
import { Trainer } from "../src/train/trainer.ts";
import { experimentIn, timeless } from "./experiment.ts";
import { tinyConfig, tinySource } from "./tinyTraining.ts";

const INTERLEAVINGS = 64;
/** Most steps that one trainer does in an interleaving. */
const MOST_STEPS = 3;
const IMAGES = 3;

const configs: readonly Config[] = [
  tinyConfig((c) => Object.assign(c.train, { seed: 1 })),
  tinyConfig((c) => {
    c.train.seed = 2;
    c.model.decoder.numQueries = 20;
  }),
];

const images = Array.from({ length: IMAGES }, (_, i): RgbImage => {
  const random = new Random(i);
  return { width: 50, height: 40, data: Uint8Array.from({ length: 6000 }, () => random.integer(256)) };
});
const val = {
  source: tinySource(1),
  dataset: cocoDataset(
    {
      images: [0, 1].map((id) => ({ id, file_name: `${id}.png`, width: 96, height: 96 })),
      categories: ["one", "two", "three"].map((name, id) => ({ id, name })),
      annotations: [0, 1].map((id) => ({
        id: id + 1,
        image_id: id,
        category_id: 0,
        bbox: [20, 20, 40, 40],
        area: 1600,
      })),
    },
    "tiny",
  ),
};

/** One model on one backend: a trainer, and a detector of its first weights. */
interface Place {
  readonly name: string;
  readonly backend: Backend;
  readonly trainer: Trainer;
  readonly detector: DFine;
  readonly start: Uint8Array;
  /** What calls give, made one after the other. */
  readonly expected: Expected;
}

interface Expected {
  readonly detections: readonly unknown[];
  /** By the number of steps before. */
  readonly steps: readonly unknown[];
  readonly evaluations: readonly unknown[];
  readonly states: readonly Uint8Array[];
  readonly models: readonly Uint8Array[];
}

let shared: Awaited<ReturnType<typeof oneDevice>>;
const batches: TrainingBatch[] = [];
const backends: Backend[] = [];
const places: Place[] = [];
/** What calls gave on WebGPU that began together before any kernel was compiled, and the storages and buffers they left. */
let atFirst: { readonly given: readonly unknown[]; readonly left: readonly number[] };

const step = (trainer: Trainer, index: number) => trainer.step(batches[index]!, MOST_STEPS);
const detect = async (detector: DFine, given: RgbImage | readonly RgbImage[]): Promise<unknown[]> =>
  (await detector.detect(given, { threshold: 0 })).map((result) => result.toJSON());
const evaluate = async (trainer: Trainer) => await trainer.evaluate(val.source, val.dataset);

async function openPlace(backend: Backend, config: Config): Promise<Place> {
  const trainer = await Trainer.create({ config, backend, reviveBackend: async () => backend });
  const detector = await DFine.fromPretrained(await trainer.saveModel(), { device: backend });
  const start = await trainer.saveState();
  const [steps, evaluations, states, models, detections] = [[], [], [], [], []] as [
    ...[unknown[], unknown[], Uint8Array[], Uint8Array[], unknown[]],
  ];
  for (const image of images) detections.push(...(await detect(detector, image)));
  for (let done = 0; done <= MOST_STEPS; done++) {
    states.push(await trainer.saveState());
    models.push(await trainer.saveModel());
    evaluations.push(await evaluate(trainer));
    if (done < MOST_STEPS) steps.push(await step(trainer, done));
  }
  const name = `model ${configs.indexOf(config)} on ${backend.name}`;
  return { name, backend, trainer, detector, start, expected: { detections, steps, evaluations, states, models } };
}

async function firstCalls(start: Uint8Array): Promise<typeof atFirst> {
  const backend = shared.make({ compileAhead: true });
  const before = liveStorages();
  let given: unknown[];
  {
    using one = await Trainer.restore(start, { config: configs[0]!, backend });
    using two = await Trainer.restore(start, { config: configs[0]!, backend });
    using detector = await DFine.fromPretrained(await one.saveModel(), { device: backend });
    const begun = [step(one, 0), detect(detector, images[0]!), step(two, 0), detect(detector, images), step(one, 1)];
    given = await Promise.all(begun);
  }
  const left = [liveStorages() - before, backend.memory().buffers];
  backend.dispose();
  return { given, left };
}

beforeAll(async () => {
  for await (const batch of tinySource(MOST_STEPS).batches(0)) batches.push(batch);
  shared = await oneDevice();
  backends.push(cpu({ threads: 1 }), shared.make());
  for (const config of configs) places.push(await openPlace(backends[0]!, config));
  atFirst = await firstCalls(places[0]!.start);
  for (const config of configs) places.push(await openPlace(backends[1]!, config));
});
afterAll(() => {
  for (const { trainer, detector } of places) for (const one of [trainer, detector]) one.dispose();
  for (const backend of backends) backend.dispose();
  shared.destroy();
});

/** A call that begins now; it fulfils when its result is what it has to be. */
type Call = (place: Place, stepsBefore: number, random: Random) => Promise<void>;

const sameBytes = (found: Uint8Array, wanted: Uint8Array): void => expect(Buffer.compare(found, wanted)).toBe(0);
const calls: Record<"one" | "list" | "step" | "evaluate" | "snapshot" | "saveState" | "saveModel", Call> = {
  async one({ detector, expected }, _, random) {
    const i = random.integer(IMAGES);
    expect(await detect(detector, images[i]!)).toEqual([expected.detections[i]]);
  },
  async list({ detector, expected }) {
    expect(await detect(detector, images)).toEqual(expected.detections);
  },
  async step({ trainer, expected }, before) {
    expect(await step(trainer, before)).toEqual(expected.steps[before]);
  },
  async evaluate({ trainer, expected }, before) {
    expect(await evaluate(trainer)).toEqual(expected.evaluations[before]);
  },
  snapshot: ({ trainer }) => trainer.snapshot(),
  async saveState({ trainer, expected }, before) {
    sameBytes(await trainer.saveState(), expected.states[before]!);
  },
  async saveModel({ trainer, expected }, before) {
    sameBytes(await trainer.saveModel(), expected.models[before]!);
  },
};
const kinds = Object.keys(calls) as (keyof typeof calls)[];

/** Waits not at all, until other promises were seen to, or until the loop has turned. */
const pauses: readonly (() => Promise<void> | undefined)[] = [
  () => undefined,
  () => Promise.resolve(),
  () => new Promise((resolve) => setImmediate(resolve)),
  () => new Promise((resolve) => setTimeout(resolve, 3)),
];

async function interleave(random: Random): Promise<void> {
  const steps = places.map(() => 0);
  const begun: Promise<void>[] = places.map(({ trainer, start }) => trainer.restoreState(start));
  for (let left = 6 + random.integer(6); left > 0; left--) {
    const at = random.integer(places.length);
    const kind = kinds[random.integer(kinds.length)]!;
    if (kind === "step" && steps[at] === MOST_STEPS) continue;
    begun.push(calls[kind](places[at]!, steps[at]!, random));
    if (kind === "step") steps[at]!++;
    await pauses[random.integer(pauses.length)]!();
  }
  await Promise.all(begun);
}

test("first calls that overlap give the same bits where kernels are compiled ahead", () => {
  const [, , { expected }] = places as [Place, Place, Place];
  expect(atFirst.given).toEqual([
    expected.steps[0],
    [expected.detections[0]],
    expected.steps[0],
    expected.detections,
    expected.steps[1],
  ]);
  expect(atFirst.left).toEqual([0, 0]);
});

const devices = {
  "a new device": () => webgpu(),
  "a device that has the kernels": async () => shared.make(),
};
test.each([
  [5, "a new device"],
  ...[0, 1, 5, 20, 50].map((ms) => [ms, "a device that has the kernels"] as const),
] as const)("what is disposed after %i ms on %s says so and leaves nothing", async (ms, device) => {
  const before = liveStorages();
  const backend = await devices[device]();
  const [config, { start }] = [configs[0]!, places[0]!];
  const trainer = await Trainer.restore(start, { config, backend });
  const detector = await DFine.fromPretrained(await trainer.saveModel(), { device: backend });
  const begun = [step(trainer, 0), detect(detector, images), step(trainer, 1), detect(detector, images)];
  const settled = Promise.allSettled([...begun, trainer.saveState()]);
  await new Promise((resolve) => setTimeout(resolve, ms));
  for (const one of [trainer, detector, backend]) one.dispose();
  for (const call of await settled)
    if (call.status === "rejected")
      expect(`${call.reason}`).toMatch(/OwnershipError: \w+: (it|this detector) was disposed/);
  expect(liveStorages()).toBe(before);
});

test("calls that overlap, on two models and two backends, give the bits of the same calls one after the other", async () => {
  const held = () => [liveStorages(), ...backends.map((backend) => backend.memory().buffers)];
  const before = held();
  for (let i = 0; i < INTERLEAVINGS; i++) {
    await interleave(new Random(i));
    expect(held(), `after interleaving ${i}`).toEqual(before);
  }
});

test("runs on the CPU and on WebGPU beside each other leave what they leave after each other", async () => {
  const folder = await mkdtemp(join(tmpdir(), "dfine-beside-"));
  try {
    const digits = await makeDigits({ folder: join(folder, "digits"), train: 6, val: 2, size: 96 });
    const run = (when: string, i: number) =>
      experimentIn(folder, { name: `${when}-${i}`, backend: backends[i]!, seed: i, digits });
    const before = liveStorages();
    const after = [await run("after", 0), await run("after", 1)];
    const beside = await Promise.all([run("beside", 0), run("beside", 1)]);
    expect(liveStorages()).toBe(before);
    for (const [i, { state, best, log }] of beside.entries()) {
      expect(state.equals(after[i]!.state)).toBe(true);
      expect(best.equals(after[i]!.best)).toBe(true);
      expect(timeless(log)).toEqual(timeless(after[i]!.log));
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});
