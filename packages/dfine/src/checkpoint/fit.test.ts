import { type HostTensor, readNamed, readSafetensors } from "@dfine/nn";
import { Random, referenceBackend, withBackend } from "@dfine/tensor";
import { describe, expect, test } from "vitest";
import { says, thrown } from "../../test/badInput.ts";
import { freshState, ownFile, type State } from "../../test/checkpoints.ts";
import { tinyModel } from "../../test/tinyModel.ts";
import type { DFineConfig } from "../model/dfineConfig.ts";
import { DFineModel } from "../model/dfineModel.ts";
import { ModelFileError } from "./errors.ts";
import { type FitReport, loadCheckpoint } from "./fit.ts";
import { fitLines } from "./fitText.ts";
import { openCheckpoint } from "./open.ts";

const named = (classes: readonly string[], change: (model: DFineConfig) => void = () => {}): DFineConfig =>
  tinyModel((model) => {
    model.classes = [...classes];
    change(model);
  });

const CLASS_TENSORS = [
  "decoder.denoising_class_embed.weight",
  "decoder.enc_score_head.weight",
  "decoder.enc_score_head.bias",
  ...[0, 1, 2].flatMap((i) => [`decoder.dec_score_head.${i}.weight`, `decoder.dec_score_head.${i}.bias`]),
];

interface Loaded {
  readonly report: FitReport;
  readonly file: State;
  readonly fresh: State;
  readonly loaded: ReadonlyMap<string, HostTensor>;
}

/** Loads a file of weights for some classes into a model with others. */
async function load(
  fileModel: DFineConfig,
  model: DFineConfig,
  change: (state: State) => void = () => {},
): Promise<Loaded> {
  const file = await freshState(fileModel, 1);
  const whole = openCheckpoint(ownFile(file, fileModel), { file: "x.safetensors" });
  change(file);
  const { entries } = readSafetensors(ownFile(file, fileModel), "x.safetensors");
  const checkpoint = { ...whole, entries };
  using target = withBackend(referenceBackend(), () => new DFineModel(model).initialize(new Random(2)));
  const report = await loadCheckpoint(target, checkpoint);
  return { report, file, fresh: await freshState(model, 2), loaded: await readNamed(target.stateDict()) };
}

const expectFiles = ({ loaded, file }: Loaded, but: readonly string[]) => {
  for (const [name, { data }] of loaded) if (!but.includes(name)) expect(data, name).toEqual(file.get(name)!.data);
};

test("the same classes: every tensor is the file's", async () => {
  const all = await load(named(["a", "b", "c"]), named(["a", "b", "c"]));
  expectFiles(all, []);
  expect(all.report).toMatchObject({ changes: [], kept: [], byOrder: false, loaded: all.loaded.size });
  expect(fitLines(all.report)).toEqual([`x.safetensors: ${all.loaded.size} tensors loaded; 3 classes (a, b, c)`]);
});

test("other classes without a name in common: their tensors are as initialised, and named", async () => {
  const all = await load(named(["a", "b", "c"]), named(["d", "e"]));
  expectFiles(all, CLASS_TENSORS);
  for (const name of CLASS_TENSORS) expect(all.loaded.get(name)!.data).toEqual(all.fresh.get(name)!.data);
  expect(all.report.changes.map(({ name, fate }) => [name, fate]).sort()).toEqual(
    CLASS_TENSORS.map((name) => [name, "initialised"]).sort(),
  );
  expect(all.report.changes[0]).toEqual({
    name: CLASS_TENSORS[0],
    fate: "initialised",
    inFile: [4, 16],
    inModel: [3, 16],
  });
  expect(all.report.loaded).toBe(all.loaded.size - CLASS_TENSORS.length);
  says("fit-classes", fitLines(all.report)[1]);
});

test("classes of the same name keep their rows, wherever they stand", async () => {
  const all = await load(named(["a", "b", "c"]), named(["x", "c", "y", "a"]));
  expectFiles(all, CLASS_TENSORS);
  expect(all.report.kept).toEqual(["c", "a"]);
  for (const name of CLASS_TENSORS) {
    const [loaded, file, fresh] = [all.loaded.get(name)!, all.file.get(name)!, all.fresh.get(name)!];
    const size = loaded.shape[1] ?? 1;
    const row = ({ data }: { data: ArrayLike<number> }, i: number) => Array.from(data).slice(i * size, (i + 1) * size);
    expect(row(loaded, 1)).toEqual(row(file, 2));
    expect(row(loaded, 3)).toEqual(row(file, 0));
    expect([row(loaded, 0), row(loaded, 2)]).toEqual([row(fresh, 0), row(fresh, 2)]);
    // The row of padding stays zero.
    if (name === CLASS_TENSORS[0]) expect(row(loaded, 4)).toEqual(new Array(size).fill(0));
  }
  expect(fitLines(all.report).slice(0, 2)).toEqual([
    expect.stringMatching(/3 classes \(a, b, c\); kept by name: c, a$/),
    "decoder.denoising_class_embed.weight: [4, 16] in the file, [5, 16] in the model: 2 of 4 classes kept, the others as initialised",
  ]);
});

test("as many classes in another order are matched by name", async () => {
  const all = await load(named(["a", "b", "c"]), named(["c", "b", "a"]));
  const [bias, file] = [all.loaded.get("decoder.enc_score_head.bias")!, all.file.get("decoder.enc_score_head.bias")!];
  expect([...bias.data]).toEqual([...file.data].reverse());
});

test("classes without names are matched by order, and it is said", async () => {
  const all = await load(named(["class 0", "class 1"]), named(["dog", "cat"]));
  expectFiles(all, []);
  expect(all.report.byOrder).toBe(true);
  says("fit-by-order", fitLines(all.report)[0]);
  const more = await load(named(["class 0", "class 1"]), named(["dog", "cat", "cow"]));
  expect(more.report).toMatchObject({ byOrder: false, kept: [] });
  expect(more.report.changes).toHaveLength(CLASS_TENSORS.length);
});

test("the embedding of denoising may be missing on either side", async () => {
  const [embedding] = CLASS_TENSORS;
  const without = (model: DFineConfig) => {
    Object.assign(model.denoising, { numDenoising: 0 });
  };
  const fresh = await load(named(["a"], without), named(["a"]));
  expect(fresh.report.changes).toEqual([{ name: embedding, fate: "initialised", inFile: undefined, inModel: [2, 16] }]);
  expect(fresh.loaded.get(embedding!)!.data).toEqual(fresh.fresh.get(embedding!)!.data);
  const unused = await load(named(["a"]), named(["a"], without));
  expect(unused.report.changes).toEqual([{ name: embedding, fate: "unused", inFile: [2, 16], inModel: undefined }]);
});

describe("everything else has to fit", () => {
  const one = { shape: [1], data: Float32Array.of(1) };
  const model = named(["a", "b", "c"]);

  test.each<[string, (state: State) => void]>([
    ["fit-missing", (state) => state.delete("encoder.lateral_convs.0.conv.weight")],
    ["fit-unknown", (state) => state.set("neck.weight", one)],
    ["fit-shape", (state) => state.set("encoder.lateral_convs.0.norm.bias", one)],
    [
      "fit-not-finite",
      (state) => {
        state.get("encoder.lateral_convs.0.norm.bias")!.data[3] = Number.NaN;
      },
    ],
  ])("%s", async (id, change) => {
    const error = await thrown(() => load(model, model, change));
    expect(error).toBeInstanceOf(ModelFileError);
    says(id, error);
  });

  test.each<[string, (state: State) => void, RegExp]>([
    [
      "a head of another shape",
      (state) => state.set("decoder.enc_score_head.bias", one),
      /decoder\.enc_score_head\.bias \(\[1\] in the file, \[3\] in the model\)/,
    ],
    [
      "many at a time",
      (state) => {
        for (let i = 0; i < 20; i++) state.set(`more.${i}`, one);
      },
      /more\.7, and 12 more/,
    ],
    [
      "an infinite number",
      (state) => {
        state.get("decoder.query_pos_head.layers.0.bias")!.data[0] = Number.NEGATIVE_INFINITY;
      },
      /not finite/,
    ],
  ])("%s", async (_, change, message) => {
    await expect(load(model, model, change)).rejects.toThrow(message);
  });

  test("batch counters may be missing", async () => {
    const model = named(["a"]);
    const { report } = await load(model, model, (state) => {
      for (const name of [...state.keys()]) if (name.endsWith("num_batches_tracked")) state.delete(name);
    });
    expect(report.changes).toEqual([]);
  });
});
