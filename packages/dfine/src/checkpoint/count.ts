import type { SafetensorsEntry } from "@dfine/nn";
import type { BackboneConfig } from "../config/config.ts";

const BUFFER = /\.(running_mean|running_var|num_batches_tracked|num_points_scale|anchors|valid_mask)$/;
/** The second names of shared parameters. */
const SHARED = /^decoder\.decoder\.(up|reg_scale)$/;
const FROZEN_NORM = /^backbone\..*\.bn\.(weight|bias)$/;

const sizeOf = (entries: Iterable<SafetensorsEntry>): number =>
  [...entries].reduce((sum, { shape }) => sum + shape.reduce((size, side) => size * side, 1), 0);

/** Numbers in a file's tensors, and how many of them are parameters of the model. */
export function countValues(
  entries: ReadonlyMap<string, SafetensorsEntry>,
  { freezeNorm }: Pick<BackboneConfig, "freezeNorm">,
): { values: number; parameters: number } {
  const isParameter = (name: string) =>
    !BUFFER.test(name) && !SHARED.test(name) && !(freezeNorm && FROZEN_NORM.test(name));
  const parameters = [...entries].filter(([name]) => isParameter(name)).map(([, entry]) => entry);
  return { values: sizeOf(entries.values()), parameters: sizeOf(parameters) };
}
