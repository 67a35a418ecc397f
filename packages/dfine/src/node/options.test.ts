import { ArgumentError, OwnershipError } from "@dfine/tensor";
import { beforeAll, describe, expect, test } from "vitest";
import { says, thrown } from "../../test/badInput.ts";
import { tinyConfig, tinySource } from "../../test/tinyTraining.ts";
import { openCheckpoint } from "../checkpoint/open.ts";
import { type Device, resolveBackend } from "../device.ts";
import { DFine as BrowserDFine } from "../dfine.ts";
import { evaluate } from "../train/evaluate.ts";
import { trainLoop } from "../train/loop.ts";
import { Trainer } from "../train/trainer.ts";
import { decodeImage } from "./data/decode.ts";
import { createLoader } from "./data/loader.ts";
import { makeDigits } from "./demo/digits.ts";
import { DFine } from "./detector.ts";
import { runTraining } from "./trainRun.ts";

/** What nobody computes on: whoever asks too late meets an error of another kind. */
const device = { name: "none", alloc: () => expect.unreachable() } as unknown as Device;
const image = { width: 4, height: 4, data: new Uint8Array(48) };
/** A value that the compiler would refuse. */
const untyped = (value: unknown) => value as never;

const detect = (options: unknown, Class = DFine) =>
  Class.prototype.detect.call(Object.create(Class.prototype), image, untyped(options));
const loader = (options: object) =>
  createLoader(untyped({ dataset: {}, imageRoot: "x", size: [8, 8], batchSize: 1, training: true, ...options }));
const trainer = (options: object) => Trainer.create(untyped({ config: tinyConfig(), backend: device, ...options }));

const ONE = "a number from 0 to 1";
const FROM_1 = "a whole number from 1 on";

test.each<[name: string, call: () => unknown, said: string]>([
  ["detect, a key", () => detect({ thresh: 0.5 }), 'detect: there is no option "thresh"; did you mean "threshold"?'],
  ["detect, a text", () => detect({ threshold: "0.5" }), `detect: threshold is "0.5"; it takes ${ONE}`],
  ["detect, NaN", () => detect({ threshold: Number.NaN }), `detect: threshold is NaN; it takes ${ONE}`],
  ["detect, too much", () => detect({ threshold: 7 }), `detect: threshold is 7; it takes ${ONE}`],
  ["detect, too few", () => detect({ maxDetections: -1 }), `detect: maxDetections is -1; it takes ${FROM_1}`],
  ["detect, no batch", () => detect({ batch: 0 }), `detect: batch is 0; it takes ${FROM_1}`],
  ["detect, no pixels", () => detect({ maxPixels: 0 }), `detect: maxPixels is 0; it takes ${FROM_1}`],
  ["detect, of pages", () => detect({ maxPixels: 9 }, untyped(BrowserDFine)), 'there is no option "maxPixels"'],
  ["detect, no signal", () => detect({ signal: new AbortController() }), "it takes an AbortSignal"],
  ["detect, a number", () => detect(0.5), "detect: options is 0.5; it takes an object of options: { threshold,"],
  [
    "create, a key",
    () => DFine.create(untyped({ classes: 1, preset: "n" })),
    'DFine.create: there is no option "preset"',
  ],
  [
    "create, a model",
    () => DFine.create(untyped({ classes: 1, model: "xl" })),
    'model is "xl"; it takes one of n, s, m',
  ],
  ["create, classes", () => DFine.create({ classes: 1.5 }), "classes is 1.5; it takes a list of names, or how many"],
  ["create, no classes", () => DFine.create(untyped({})), "classes is missing; it takes a list of names"],
  [
    "create, all classes",
    () => DFine.create({ classes: 1e9 }),
    "it takes a list of names, or how many there are, up to",
  ],
  ["create, a device", () => DFine.create(untyped({ classes: 1, device: {} })), "it takes a name or a backend"],
  ["create, a size", () => DFine.create(untyped({ classes: 1, size: 640 })), "size is 640; it takes a list of 2 whole"],
  ["open, a key", () => DFine.fromPretrained("x", untyped({ classnames: ["a"] })), 'did you mean "classNames"?'],
  ["open, a key, of pages", () => BrowserDFine.fromPretrained("x", untyped({ emma: true })), 'did you mean "ema"?'],
  ["open, a time", () => DFine.fromPretrained("x", { timeout: 1e10 }), "it takes a number from 1 to 2147483647"],
  [
    "open, a folder of none",
    () => DFine.fromPretrained(untyped(undefined)),
    "weights is missing; it takes their bytes",
  ],
  ["checkpoint", () => openCheckpoint(new Uint8Array(), untyped({ ema: 1 })), "ema is 1; it takes true or false"],
  ["device", () => resolveBackend("cpu", { threads: 0 }), `resolveBackend: threads is 0; it takes ${FROM_1}`],
  ["trainer", () => trainer({ initail: {} }), 'Trainer.create: there is no option "initail"; did you mean "initial"?'],
  [
    "trainer, a part",
    () => trainer({ config: { preset: "n" } }),
    "config is an object (Object); it takes a whole config",
  ],
  ["state", () => Trainer.restore(new Uint8Array(), untyped({ backed: device })), 'did you mean "backend"?'],
  ["loop", () => trainLoop(untyped({}), untyped({}), { maxSteps: 1.5 }).next(), `maxSteps is 1.5; it takes ${FROM_1}`],
  [
    "evaluation",
    () => evaluate(untyped({}), tinySource(1), untyped({ categoryId: [] })),
    'did you mean "categoryIds"?',
  ],
  ["loader without a size", () => loader({ size: undefined }), "createLoader: size is missing; it takes a list of 2"],
  ["loader", () => loader({ mostBroken: 50 }), `createLoader: mostBroken is 50; it takes ${ONE}`],
  [
    "loader, a name",
    () => loader({ transforms: "heavy" }),
    'transforms is "heavy"; it takes official, mosaic, detr, flip, none, or a',
  ],
  [
    "loader, a key",
    () => loader({ transforms: [{ name: "flip", chance: 1 }] }),
    'createLoader: transforms.0: Unrecognized key: "chance"',
  ],
  ["loader, workers", () => loader({ workers: -1 }), "createLoader: workers is -1; it takes a whole number from 0 on"],
  ["image", () => decodeImage("x.png", { maxPixels: -1 }), `decodeImage: maxPixels is -1; it takes ${FROM_1}`],
  ["digits", () => makeDigits(untyped({ folder: "x", seeed: 1 })), 'did you mean "seed"?'],
  ["run", () => runTraining(untyped({ trainer: {}, maxStep: 3 })), 'did you mean "maxSteps"?'],
])("an option that is not there or does not fit is refused before anything is done: %s", async (_, call, said) => {
  const error = await thrown(call);
  expect(error).toBeInstanceOf(ArgumentError);
  expect(error.message).toContain(said);
});

test("the messages that docs/bad-input.md shows", async () => {
  says("option-unknown", await thrown(() => detect({ thresh: 0.5 })));
  says("option-value", await thrown(() => detect({ threshold: 7 })));
  says("option-missing", await thrown(() => trainer({ backend: undefined })));
});

describe("a detector that was disposed", () => {
  let detector: DFine;
  beforeAll(async () => {
    const backend = await resolveBackend("cpu", { threads: 1 });
    detector = await DFine.create({ classes: 1, size: [320, 320], device: backend });
    await expect(detector.detect(untyped([undefined]))).rejects.toThrow("detect: image 0 is missing; it takes pixels");
    await detector.detect(image);
    predictor = detector.predictor;
    detector.dispose();
    backend.dispose();
  });
  let predictor: DFine["predictor"];

  const batch = { images: new Float32Array(3 * 320 * 320), shape: [1, 3, 320, 320], origSizes: [[4, 4]] } as const;
  test.each<[string, () => unknown]>([
    ["detect", () => detector.detect(image)],
    ["detect of nothing", () => detector.detect([])],
    ["save", () => detector.save()],
    ["predictor", () => detector.predictor],
    ["a predictor from before", () => predictor(batch)],
  ])("says so: %s", async (_, call) => {
    const error = await thrown(call);
    expect(error).toBeInstanceOf(OwnershipError);
    says("detector-disposed", error);
  });
});
