import { Random, readTensors } from "@dfine/tensor";
import { presetConfig } from "../packages/dfine/src/config/presets.ts";
import { buildDetector } from "../packages/dfine/src/model/architectures.ts";
import type { Pack } from "./pack.ts";
import { type DetrName, detrConfigOf } from "./presets.ts";
import type { Report } from "./report.ts";
import { onTarget, type Target } from "./target.ts";

/** Statistics of a parameter's first values in PyTorch, to four digits. */
interface Statistics {
  readonly shape: readonly number[];
  readonly mean: number;
  readonly std: number;
}

/** Standard errors that two samples of the same distribution may be apart. */
const STANDARD_ERRORS = 6;
const ROUNDING = 1e-3;

/** How far statistics of `values` are from the expected ones, in what chance and rounding allow. */
function distance(values: ArrayLike<number>, { mean, std }: Statistics): number {
  const list = Array.from(values);
  const n = list.length;
  const own = list.reduce((sum, v) => sum + v, 0) / n;
  const spread = Math.sqrt(list.reduce((sum, v) => sum + (v - own) ** 2, 0) / n);
  const allowed = STANDARD_ERRORS * std * Math.sqrt(2 / n) + ROUNDING * (Math.abs(mean) + std);
  return Math.max(Math.abs(own - mean), Math.abs(spread - std)) / Math.max(allowed, Number.MIN_VALUE);
}

/** Holds first values against those of the public code: means and deviations of every parameter outside the backbone. */
export async function checkDetrStart(
  pack: Pack,
  report: Report,
  { preset, target }: { preset: DetrName; target: Target },
): Promise<void> {
  const path = `models/${preset}`;
  if (!pack.has(`${path}.json`)) return;
  const { init_seed0: expected } = pack.json<{ init_seed0: Readonly<Record<string, Statistics>> }>(`${path}.json`);
  const { model: config } = detrConfigOf(preset);
  // Nothing is told of the backbone, whose place a smaller one takes.
  const { backbone } = presetConfig("n").model;
  await onTarget(target, async () => {
    using model = buildDetector({ ...config, backbone: { ...backbone, returnStages: [1, 2, 3] } });
    model.initialize(new Random(0));
    const drawn = [...model.namedParameters()].filter(
      ([name, { shape }]) => expected[name]?.shape.join() === shape.join(),
    );
    const values = await readTensors(drawn.map(([, tensor]) => tensor));
    const far = drawn.filter(([name], i) => !(distance(values[i]!, expected[name]!) <= 1));
    report.compare(`${path} first values unlike PyTorch's`, far.length, 0);
    const apart = Object.keys(expected).filter(
      (name) => !name.startsWith("input_proj") && !drawn.some(([own]) => own === name),
    );
    report.compare(`${path} first values that nothing has`, apart.length, 0);
  });
}
