import { onPaper } from "../packages/dfine/src/checkpoint/onPaper.ts";
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
  onPaper(detrConfigOf(preset).model, (model) => {
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
  });
}
