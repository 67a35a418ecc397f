import { decodeTensor, writeSafetensors } from "@dfine/nn";
import { beforeAll, describe, expect, test } from "vitest";
import {
  freshState,
  huggingFaceFile,
  huggingFaceState,
  officialFile,
  ownFile,
  presetModel,
  type State,
  torchState,
} from "../../test/checkpoints.ts";
import { tinyModel } from "../../test/tinyModel.ts";
import { type Source, torchFile } from "../../test/torchFile.ts";
import { COCO_CLASSES } from "../config/cocoClasses.ts";
import type { PresetModel } from "../config/presets.ts";
import { tensorSource } from "../tensorFile.ts";
import { ModelFileError } from "./errors.ts";
import { type Checkpoint, openCheckpoint } from "./open.ts";

const three = ["red", "green", "blue"];
const model = presetModel("n", three);
let state: State;
let other: State;
beforeAll(async () => {
  [state, other] = [await freshState(model, 1), await freshState(model, 2)];
});

const safetensors = (values: State, metadata?: Map<string, string>) =>
  writeSafetensors(new Map([...values].map(([name, value]) => [name, tensorSource(value)])), metadata);
const expectState = ({ entries }: Checkpoint, expected: State) => {
  expect([...entries.keys()].sort()).toEqual([...expected.keys()].sort());
  for (const [name, { shape, data }] of expected) {
    const entry = entries.get(name)!;
    expect(entry.shape).toEqual(shape);
    // Counters have 32 bits in a state and 64 in files. Big arrays are compared by hand, which is much faster.
    const found = decodeTensor(entry);
    expect(found.length).toBe(data.length);
    expect(
      data.findIndex((value, i) => !Object.is(Number(found[i]), value)),
      name,
    ).toBe(-1);
  }
};

describe("formats", () => {
  test("a checkpoint of the official trainer", () => {
    const bytes = officialFile(state, other);
    const averaged = openCheckpoint(bytes, { file: "x.pth" });
    expectState(averaged, other);
    expect(averaged).toMatchObject({
      format: "pth",
      preset: "n",
      chosen: "ema",
      sets: ["ema", "model"],
      classNamesFrom: "order",
    });
    expect(averaged.model).toEqual({ ...model, classes: ["class 0", "class 1", "class 2"] });
    expect(averaged.training).toMatchObject({ lastEpoch: 6, emaUpdates: 700 });
    expectState(openCheckpoint(bytes, { ema: false }), state);
  });

  test("a state dict, also of a model on several GPUs", () => {
    const wrapped = new Map([...state].map(([name, value]) => [`module.${name}`, value]));
    expectState(openCheckpoint(torchFile((file) => torchState(file, wrapped))), state);
  });

  test.each([
    "module.",
    "_orig_mod.",
    "model.",
    "_orig_mod.module.",
    "module._orig_mod.",
    "model._orig_mod.model.",
    "ema.module.",
    "net.",
  ])("wrapped as %s, beside what is no weight of the model", (prefix) => {
    const wrapped = new Map([...state].map(([name, value]) => [`${prefix}${name}`, value]));
    expectState(openCheckpoint(safetensors(wrapped)), state);
    const lightning = new Map([...wrapped, ["criterion.weight", { shape: [1], data: Float32Array.of(1) }]]);
    const bytes = torchFile(
      (file) =>
        new Map<Source, Source>([
          ["epoch", 3],
          ["state_dict", torchState(file, lightning)],
        ]),
    );
    expectState(openCheckpoint(bytes), state);
  });

  test("compiled part by part, or of Hugging Face in a wrapper", () => {
    const compiled = new Map([...state].map(([name, value]) => [name.replace(".", "._orig_mod."), value]));
    expectState(openCheckpoint(safetensors(compiled)), state);
    const wrapped = [...huggingFaceState(state)].map(([name, value]) => [`module.${name}`, value] as const);
    const found = openCheckpoint(writeSafetensors(new Map(wrapped)));
    expect(found).toMatchObject({ format: "huggingface", preset: "n" });
    expect([...found.entries.keys()].filter((name) => !state.has(name))).toEqual([]);
  });

  test("safetensors with official names, with or without metadata", () => {
    for (const metadata of [undefined, new Map([["format", "pt"]])]) {
      const found = openCheckpoint(safetensors(state, metadata));
      expectState(found, state);
      expect(found).toMatchObject({ format: "safetensors", chosen: "only" });
    }
  });

  test("safetensors of Hugging Face, of both generations, with either copy of the tied heads", () => {
    const without = new Map(
      [...state].filter(([name]) => !/^decoder\.(anchors|valid_mask|decoder\.(up|reg_scale))$/.test(name)),
    );
    expectState(openCheckpoint(huggingFaceFile(state)), without);
    const newer = [...huggingFaceState(state)].map(([name, value]) => {
      const renamed = name
        .replace("model.encoder.encoder.", "model.encoder.aifi.")
        .replace("out_proj", "o_proj")
        .replace(/(layers\.\d+)\.fc1/, "$1.mlp.layers.0")
        .replace(/(layers\.\d+)\.fc2/, "$1.mlp.layers.1")
        .replace(/^model\.decoder\.(class_embed|bbox_embed)/, "$1");
      return [renamed, value] as const;
    });
    const found = openCheckpoint(writeSafetensors(new Map(newer)));
    expectState(found, without);
    expect(found).toMatchObject({ format: "huggingface", preset: "n", model: { evalSize: [640, 640] } });
    const both = new Map([...huggingFaceState(state), ...newer]);
    expectState(openCheckpoint(writeSafetensors(both)), without);
  });

  test("our own, whatever its architecture", async () => {
    const tiny = tinyModel();
    const found = openCheckpoint(ownFile(await freshState(tiny), tiny));
    expect(found).toMatchObject({ format: "dfine", preset: "n", classNamesFrom: "file" });
    expect(found.model).toEqual(tiny);
  });
});

describe("class names", () => {
  const config = (names: readonly string[], more: object = { model_type: "d_fine" }) =>
    JSON.stringify({ ...more, id2label: Object.fromEntries(names.map((name, id) => [id, name])) });
  const namesOf = (options: Parameters<typeof openCheckpoint>[1]) => {
    const { model, classNamesFrom } = openCheckpoint(huggingFaceFile(state), options);
    return [classNamesFrom, ...model.classes];
  };

  test.each<[string, Parameters<typeof openCheckpoint>[1], readonly string[]]>([
    ["are counted where there are none", {}, ["order", "class 0", "class 1", "class 2"]],
    ["are those of config.json", { configJson: config(three) }, ["config", ...three]],
    [
      "are the given ones before all others",
      { configJson: config(three), classNames: ["a", "b", "c"] },
      ["given", "a", "b", "c"],
    ],
    [
      "are not placeholders",
      { configJson: config(["LABEL_0", "LABEL_1", "LABEL_2"]) },
      ["order", "class 0", "class 1", "class 2"],
    ],
    [
      "are not those of another model",
      { configJson: config(three, { model_type: "bert" }) },
      ["order", "class 0", "class 1", "class 2"],
    ],
    [
      "are not fewer than there are classes",
      { configJson: config(three.slice(1)) },
      ["order", "class 0", "class 1", "class 2"],
    ],
    [
      "are not numbers",
      { configJson: '{"model_type":"d_fine","id2label":[1,2,3]}' },
      ["order", "class 0", "class 1", "class 2"],
    ],
    [
      "are not inherited",
      { configJson: '{"model_type":"d_fine","id2label":{"__proto__":{"0":"a","1":"b","2":"c"}}}' },
      ["order", "class 0", "class 1", "class 2"],
    ],
    ["are not read from what is no JSON", { configJson: "{" }, ["order", "class 0", "class 1", "class 2"]],
  ])("%s", (_, options, expected) => {
    expect(namesOf(options)).toEqual(expected);
  });

  test("may not be more or fewer than the classes", () => {
    expect(() => namesOf({ file: "x", classNames: ["a"] })).toThrow(/x: has 3 classes, but 1 names were given/);
  });

  test("of 80 classes are COCO's, also where config.json spells them as others do", async () => {
    const bytes = huggingFaceFile(await freshState(presetModel("n", COCO_CLASSES)));
    const spelt = COCO_CLASSES.map(
      (name) => ({ motorcycle: "motorbike", airplane: "aeroplane", couch: "sofa" })[name] ?? name,
    );
    expect(openCheckpoint(bytes).classNamesFrom).toBe("coco");
    const configured = openCheckpoint(bytes, { configJson: config(spelt) });
    for (const found of [openCheckpoint(bytes), configured]) expect(found.model.classes).toEqual(COCO_CLASSES);
    const unlike = COCO_CLASSES.map((name) => `${name}!`);
    expect(openCheckpoint(bytes, { configJson: config(unlike) }).model.classes).toEqual(unlike);
  });
});

describe("files that are no weights of D-FINE", () => {
  const text = (value: string) => new TextEncoder().encode(value);
  test.each([
    ["an ordinary pickle", Uint8Array.from([0x80, 4, 0x95, 0]), /pickle without PyTorch's archive/],
    ["Keras", Uint8Array.from([0x89, ...text("HDF\r\n"), 0x1a, 10, 0, 0]), /HDF5/],
    ["llama.cpp", text("GGUF________"), /GGUF/],
    ["TensorFlow Lite", text("____TFL3____"), /TensorFlow Lite/],
    ["an image", Uint8Array.from([0xff, 0xd8, 0xff, 0xe0]), /is an image/],
  ])("%s is told what it is", (_, bytes, message) => {
    expect(() => openCheckpoint(bytes, { file: "x.pth" })).toThrow(message);
    expect(() => openCheckpoint(bytes, { file: "x.pth" })).toThrow(ModelFileError);
  });

  test("averaged weights are not asked of a file with one set", () => {
    expect(() => openCheckpoint(safetensors(state), { ema: false })).toThrow(/one set of weights.*leave --no-ema/);
    expect(() => openCheckpoint(ownFile(state, model), { ema: true })).toThrow(ModelFileError);
  });
});

describe("descriptions that promise more than their tensors", () => {
  const tiny = tinyModel();
  let tinyState: State;
  beforeAll(async () => {
    tinyState = await freshState(tiny);
  });
  test.each<[string, (model: PresetModel) => void, RegExp]>([
    [
      "a width",
      ({ decoder }) => {
        decoder.hiddenDim = 1 << 20;
      },
      /that has more than \d+ elements/,
    ],
    [
      "layers",
      ({ decoder }) => {
        decoder.layers = 1e9;
      },
      /that has more than \d+ (tensors|elements)/,
    ],
    [
      "blocks",
      ({ backbone }) => {
        backbone.stages[1]!.blocks = 1e9;
      },
      /that has more than \d+ (tensors|elements)/,
    ],
    [
      "bins",
      ({ decoder }) => {
        decoder.regMax = 1e8;
      },
      /that has more than \d+ elements/,
    ],
    [
      "points",
      ({ decoder }) => {
        decoder.points = [1e9, 1];
      },
      /that has more than \d+ elements/,
    ],
    [
      "depth of the encoder",
      ({ encoder }) => {
        encoder.depthMult = 1e9;
      },
      /that has more than \d+ (tensors|elements)/,
    ],
    [
      "layers of the encoder",
      ({ encoder }) => {
        encoder.layers = 1e9;
      },
      /that has more than \d+ (tensors|elements)/,
    ],
    [
      "an input",
      (config) => {
        config.evalSize = [32e6, 32e6];
      },
      /that has more than \d+ elements/,
    ],
    [
      "one layer more",
      ({ decoder }) => {
        decoder.layers = 4;
      },
      /decoder\.decoder\.layers\.3\.self_attn\.in_proj_weight should be \[48,16\], but is missing/,
    ],
    [
      "an inner width",
      ({ decoder }) => {
        decoder.feedForwardDim = 25;
      },
      /decoder\.decoder\.layers\.0\.linear1\.weight should be \[25,16\], but is \[24,16\]/,
    ],
    [
      "a slightly larger input",
      (config) => {
        config.evalSize = [96, 128];
      },
      /decoder\.anchors should be \[1,60,4\], but is \[1,45,4\]/,
    ],
    [
      "more blocks than a list holds",
      ({ encoder }) => {
        encoder.depthMult = 1e300;
      },
      /that has too many parts/,
    ],
  ])("%s", (_, change, message) => {
    const changed = structuredClone(tiny);
    change(changed);
    const start = performance.now();
    expect(() => openCheckpoint(ownFile(tinyState, changed))).toThrow(message);
    expect(performance.now() - start).toBeLessThan(2000);
    expect(() => openCheckpoint(ownFile(tinyState, changed))).toThrow(ModelFileError);
  });
});
