import type { Kernel } from "@dfine/tensor/kernel";
import type { Nest } from "./layout.ts";
import type { Schedule } from "./schedule.ts";
import type { Slots } from "./storage.ts";
import { Values } from "./values.ts";
import { indent, type Pointers, splitIndex, stepPointers } from "./walk.ts";

/**
 * A lone scatter by one workgroup: its threads compute a tile of indices and values together, then each adds, in order, those
 * whose target it owns. No atomics, and every target gets its updates in the reference's order.
 */
export function printTiles(
  kernel: Kernel,
  { nest, slots, schedule: { threads } }: { nest: Nest; slots: Slots; schedule: Extract<Schedule, { kind: "tiles" }> },
): string[] {
  const stage = kernel.stages[0]!;
  if (stage.kind !== "scatter") throw new Error("unreachable: tiles are for scatter");
  const axes = [...nest.rows, ...nest.loops];
  const values = new Values(kernel, { slots, loopAxes: [], innermost: undefined });
  const lines = splitIndex("row", axes);
  let pointers: Pointers = kernel.operands.map((_, k) => `o${k}`);
  for (const axis of axes) {
    const step = stepPointers(kernel, axis, { pointers, tag: "q" });
    lines.push(...step.lines);
    pointers = step.pointers;
  }
  const { lines: evaluation, names } = values.evaluate([stage.index, stage.expr], { pointers, width: 1 });
  const k = stage.operand;
  const target = `o${k} + at`;
  const addition = values.storage.store(k, target, `${values.storage.load(k, target)} + tile_value[t]`);
  return [
    `var<workgroup> tile_index: array<i32, ${threads}>;`,
    `var<workgroup> tile_value: array<${stage.expr.dtype}, ${threads}>;`,
    `@compute @workgroup_size(${threads})`,
    "fn main(@builtin(local_invocation_index) local: u32) {",
    "  $UNIFORMS",
    `  for (var base = first; base < last; base += ${threads}i) {`,
    "    let row = base + i32(local);",
    "    tile_index[local] = -1i;",
    "    if (row < last) {",
    ...indent([...lines, ...evaluation], 3),
    `      tile_index[local] = select(-1i, ${names[0]}, ${names[0]} >= 0i && ${names[0]} < l${k});`,
    `      tile_value[local] = ${names[1]};`,
    "    }",
    "    workgroupBarrier();",
    `    for (var t = 0u; t < ${threads}u; t++) {`,
    "      let at = tile_index[t];",
    `      if (at >= 0i && u32(at) % ${threads}u == local) { ${addition} }`,
    "    }",
    "    workgroupBarrier();",
    "  }",
    "}",
  ];
}
