import { concat, toFloat } from "@dfine/tensor";
import { proposalTensors } from "../packages/dfine/src/model/anchors.ts";
import { aroundLevels, extentsOf } from "../packages/dfine/src/model/detr/extents.ts";
import { cellCentres } from "../packages/dfine/src/model/detr/positions.ts";
import { unitError } from "./compare.ts";
import { filledIn, levelSize, measured, numbersOf, type Size, type WordyTensor } from "./detrUnitKit.ts";
import type { JsonTensor } from "./pack.ts";
import { toTensor } from "./target.ts";
import { perCase, type Unit } from "./unit.ts";

interface RatioUnit {
  readonly padded_hw: Size;
  readonly sizes_hw: readonly Size[];
  readonly shapes: readonly Size[];
  /** Of each level, each image. */
  readonly valid_hw: readonly (readonly Size[])[];
  readonly valid_ratios_wh: JsonTensor;
  readonly reference_tokens: readonly number[];
  readonly reference_points: JsonTensor;
}

const ratios = perCase<RatioUnit>({
  ...{ file: "units/valid_ratios.json", on: "tensors" },
  async measures(unit, { backend }) {
    const levels = unit.shapes.map(levelSize);
    const batch = unit.sizes_hw.length;
    const extents = extentsOf(unit.sizes_hw, { whole: unit.padded_hw, levels, backend });
    const filled = extents?.filled ?? unit.sizes_hw.map(() => levels);
    const counts = levels.flatMap((_, l) => filled.flatMap((sizes) => [sizes[l]!.height, sizes[l]!.width]));
    const found = (await extents?.ratios.data()) ?? new Float32Array(batch * levels.length * 4).fill(1);
    const pairs = Array.from(found).filter((_, k) => k % 4 < 2);
    const centres = concat(
      levels.map((size, l) => cellCentres({ size, filled: filled.map((sizes) => sizes[l]!), backend })),
      1,
    );
    const around = await aroundLevels(centres, extents).data();
    const perToken = extents ? 2 * levels.length : 2;
    const tokens = centres.shape[1]!;
    const sampled = unit.sizes_hw.flatMap((_, b) =>
      unit.reference_tokens.flatMap((token) =>
        levels.flatMap((_, l) =>
          [0, 1].map((axis) => around[(b * tokens + token) * perToken + ((2 * l) % perToken) + axis]!),
        ),
      ),
    );
    return [
      { name: "counts", error: unitError(counts, unit.valid_hw.flat(2)), allowed: 0 },
      { name: "ratios", error: unitError(pairs, unit.valid_ratios_wh.data) },
      { name: "references", error: unitError(sampled, unit.reference_points.data) },
    ];
  },
});

interface ProposalUnit {
  readonly spatial_shapes: readonly Size[];
  readonly mask: JsonTensor;
  readonly memory: JsonTensor;
  readonly out_memory: JsonTensor;
  readonly proposals_logit: WordyTensor;
}

const proposals = perCase<ProposalUnit>({
  ...{ file: "units/encoder_proposals.json", on: "tensors" },
  async measures(unit, { backend }) {
    const levels = unit.spatial_shapes.map(levelSize);
    const starts = levels.map((_, l) => levels.slice(0, l).reduce((sum, { height, width }) => sum + height * width, 0));
    const ofLevels = levels.map((size, l) => filledIn(unit.mask, size, starts[l]));
    const filled = Array.from({ length: unit.mask.shape[0]! }, (_, b) => ofLevels.map((images) => images[b]!));
    const [anchors, valid] = proposalTensors(levels, { margin: 0.01, filled, backend });
    const masked = toTensor(unit.memory).mul(toFloat(valid));
    return [
      await measured("proposals", anchors, numbersOf(unit.proposals_logit)),
      await measured("memory", masked, unit.out_memory.data),
    ];
  },
});

/** Where tokens are, and what queries are chosen from. */
export const detrTokenUnits: readonly Unit[] = [ratios, proposals];
