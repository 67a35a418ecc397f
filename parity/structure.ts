import type { DFinePresetName } from "../packages/dfine/src/config/config.ts";
import { DFineModel } from "../packages/dfine/src/model/dfineModel.ts";
import { configOf, torchDtype } from "./model.ts";
import type { Pack } from "./pack.ts";
import type { Report } from "./report.ts";
import { onTarget, type Target } from "./target.ts";

type Entry = readonly [name: string, shape: readonly number[], dtype?: string];

interface ModelPack {
  readonly params_train: number;
  readonly params_trainable: number;
  readonly params_deploy: number;
  readonly state_dict: readonly Entry[];
  readonly parameters: readonly string[];
  readonly frozen: readonly string[];
  readonly deploy_state_dict: readonly Entry[];
}

/** Positions at which two lists differ. */
function differences(ours: readonly string[], theirs: readonly string[]): number {
  const length = Math.max(ours.length, theirs.length);
  return Array.from({ length }, (_, i) => ours[i] === theirs[i]).filter((equal) => !equal).length;
}

const entryText = ([name, shape, dtype = ""]: Entry): string => `${name} [${shape.join()}] ${dtype}`;

/** Names, shapes and, on demand, types of a model's state, in order. */
const entriesOf = (model: DFineModel, withDtype: boolean): string[] =>
  [...model.stateDict()].map(([name, t]) => entryText(withDtype ? [name, t.shape, torchDtype(t)] : [name, t.shape]));

/** Holds names, shapes, order and numbers of parameters against PyTorch's. */
export function checkStructure(pack: Pack, report: Report, options: { preset: DFinePresetName; target: Target }): void {
  const { preset, target } = options;
  const path = `models/${preset}`;
  if (!pack.has(`${path}.json`)) return;
  const expected = pack.json<ModelPack>(`${path}.json`);
  const exact = (name: string, error: number) => report.compare(`${path} ${name}`, Math.abs(error), 0);
  onTarget(target, () => {
    using model = new DFineModel(configOf(preset).model);
    const parameters = model.namedParameters();
    const trainable = [...parameters].filter(([, { requiresGrad }]) => requiresGrad);
    const frozen = [...parameters].filter(([, { requiresGrad }]) => !requiresGrad).map(([name]) => name);
    exact("parameters", model.parameterCount() - expected.params_train);
    exact("trainable parameters", trainable.reduce((sum, [, { size }]) => sum + size, 0) - expected.params_trainable);
    exact("state dict", differences(entriesOf(model, true), expected.state_dict.map(entryText)));
    exact("parameter order", differences([...parameters.keys()], expected.parameters));
    exact("frozen parameters", differences(frozen, expected.frozen));
    model.fuse();
    exact("deploy parameters", model.parameterCount() - expected.params_deploy);
    exact("deploy state dict", differences(entriesOf(model, false), expected.deploy_state_dict.map(entryText)));
  });
}
