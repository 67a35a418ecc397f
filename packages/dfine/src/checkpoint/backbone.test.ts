import { readNamed } from "@dfine/nn";
import { Random, referenceBackend, withBackend } from "@dfine/tensor";
import { expect, test } from "vitest";
import { says, thrown } from "../../test/badInput.ts";
import { freshState, presetModel, type State, torchState } from "../../test/checkpoints.ts";
import { tinyModel } from "../../test/tinyModel.ts";
import { torchFile } from "../../test/torchFile.ts";
import type { DFineConfig } from "../model/dfineConfig.ts";
import { DFineModel } from "../model/dfineModel.ts";
import { loadBackbone, openBackbone } from "./backbone.ts";
import { onPaper } from "./onPaper.ts";

const prefix = "backbone.";

/** The official form: a plain state dict of the backbone alone. */
function backboneFile(state: State, change: (own: State) => void = () => {}): Uint8Array {
  const own: State = new Map();
  for (const [name, value] of state) if (name.startsWith(prefix)) own.set(name.slice(prefix.length), value);
  change(own);
  return torchFile((file) => torchState(file, own));
}

async function load(bytes: Uint8Array, config: DFineConfig) {
  using model = withBackend(referenceBackend(), () => new DFineModel(config).initialize(new Random(2)));
  loadBackbone(model, openBackbone(bytes, { file: "b.pth" }));
  return await readNamed(model.stateDict());
}

test("the backbone is the file's, all else as it was", async () => {
  const state = await freshState(tinyModel(), 1);
  const fresh = await freshState(tinyModel(), 2);
  for (const [name, { data }] of await load(backboneFile(state), tinyModel()))
    expect(data, name).toEqual((name.startsWith(prefix) ? state : fresh).get(name)!.data);
});

test("norms with fixed statistics take those of a file that counts batches", async () => {
  const state = await freshState(tinyModel(), 1);
  const loaded = await load(
    backboneFile(state),
    tinyModel((model) => Object.assign(model.backbone, { freezeNorm: true })),
  );
  const own = [...loaded].filter(([name]) => name.startsWith(prefix));
  expect(own.length).toBeLessThan([...state.keys()].filter((name) => name.startsWith(prefix)).length);
  for (const [name, { data }] of own) expect(data, name).toEqual(state.get(name)!.data);
});

test("of a whole network or detector, the backbone is taken", async () => {
  const state = await freshState(tinyModel(), 1);
  const withHead = backboneFile(state, (own) => own.set("last_conv.weight", { shape: [1], data: Float32Array.of(1) }));
  const detector = torchFile((file) => torchState(file, state));
  const [one, other] = [await load(withHead, tinyModel()), await load(detector, tinyModel())];
  expect(one).toEqual(other);
});

test.each([
  ["n", "stages.2.blocks.1.layers.2.conv2.lab.scale", "stages.2.blocks.2.aggregation.0.conv.weight"],
  ["l", "stages.2.blocks.2.layers.5.conv2.bn.running_var", "stem.stem1.lab.scale"],
] as const)("%s has the names of its official file", (preset, known, unknown) => {
  const names = onPaper(presetModel(preset, ["a"]), (detector) => [...detector.stateDict().keys()]);
  expect(names).toContain(prefix + known);
  expect(names).not.toContain(prefix + unknown);
});

test("another backbone's weights are refused, with names and shapes", async () => {
  const state = await freshState(
    tinyModel((model) => Object.assign(model.backbone.stem, { mid: 6 })),
    1,
  );
  says("backbone-other", await thrown(() => load(backboneFile(state), tinyModel())));
  const broken = backboneFile(await freshState(tinyModel(), 1), (own) => {
    own.set("stem.stem1.conv.weight", { shape: [4, 3, 3, 3], data: new Float32Array(108).fill(Number.NaN) });
  });
  await expect(load(broken, tinyModel())).rejects.toThrow(/b\.pth: its tensor stem\.stem1\.conv\.weight holds numbers/);
});
