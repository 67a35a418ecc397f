import { onPaper } from "../packages/dfine/src/checkpoint/onPaper.ts";
import type { OptimizerConfig } from "../packages/dfine/src/config/config.ts";
import { groupParameters, groupRate } from "../packages/dfine/src/config/parameterGroups.ts";
import type { Pack } from "./pack.ts";
import { type DetrName, detrConfigOf } from "./presets.ts";
import type { Report } from "./report.ts";
import type { Target } from "./target.ts";

interface ModelPack {
  readonly parameters_total: number;
  readonly parameters_trainable: number;
  readonly state_dict: readonly (readonly [name: string, shape: readonly number[]])[];
  /** Other names of tensors, with the names that are kept. */
  readonly aliases: Readonly<Record<string, string>>;
  readonly parameters: readonly string[];
  readonly frozen: readonly string[];
  readonly optimizer: {
    readonly weight_decay: number;
    readonly groups: readonly { readonly lr: number; readonly names: readonly string[] }[];
  };
}

/** Every parameter with its learning rate and decay, in as many digits as a product of rates keeps. */
const settings = (names: readonly string[], rate: number, decay: number): string[] =>
  names.map((name) => `${name} ${Number(rate.toPrecision(12))} ${decay}`);

function groupSettings(names: readonly string[], optimizer: OptimizerConfig): string[] {
  return groupParameters(names, optimizer.groups).flatMap((group) => {
    const decay = group.weightDecay === "inherit" ? optimizer.weightDecay : group.weightDecay;
    return settings(group.names, groupRate(group, optimizer), decay);
  });
}

/** Texts that only one side has. */
function differences(ours: Iterable<string>, theirs: Iterable<string>): number {
  const [mine, other] = [new Set(ours), new Set(theirs)];
  return [...mine].filter((text) => !other.has(text)).length + [...other].filter((text) => !mine.has(text)).length;
}

/** Holds names, shapes and numbers of parameters against PyTorch's; its files may order them otherwise. */
export function checkDetrStructure(pack: Pack, report: Report, { preset }: { preset: DetrName; target: Target }): void {
  const path = `models/${preset}`;
  if (!pack.has(`${path}.json`)) return;
  const expected = pack.json<ModelPack>(`${path}.json`);
  const exact = (name: string, error: number) => report.compare(`${path} ${name}`, Math.abs(error), 0);
  const config = detrConfigOf(preset);
  onPaper(config.model, (model) => {
    const parameters = model.namedParameters();
    const trainable = [...parameters].filter(([, { requiresGrad }]) => requiresGrad);
    const frozen = [...parameters].filter(([, { requiresGrad }]) => !requiresGrad).map(([name]) => name);
    const state = model.stateDict();
    const aliases = model.aliases();
    const named = [...state, ...[...aliases].map(([alias, name]) => [alias, state.get(name)!] as const)];
    exact("parameters", model.parameterCount() - expected.parameters_total);
    exact(
      "trainable parameters",
      trainable.reduce((sum, [, { size }]) => sum + size, 0) - expected.parameters_trainable,
    );
    exact(
      "state dict",
      differences(
        named.map(([name, { shape }]) => `${name} [${shape}]`),
        expected.state_dict.map(([name, shape]) => `${name} [${shape}]`),
      ),
    );
    exact("names twice", named.length - new Set(named.map(([name]) => name)).size);
    exact(
      "aliases",
      differences(
        [...aliases].map((pair) => pair.join()),
        Object.entries(expected.aliases).map((pair) => pair.join()),
      ),
    );
    exact("parameter names", differences(parameters.keys(), expected.parameters));
    exact("frozen parameters", differences(frozen, expected.frozen));
    const { groups, weight_decay: decay } = expected.optimizer;
    exact(
      "optimiser groups",
      differences(
        groupSettings(
          trainable.map(([name]) => name),
          config.train.optimizer,
        ),
        groups.flatMap(({ lr, names }) => settings(names, lr, decay)),
      ),
    );
  });
}
