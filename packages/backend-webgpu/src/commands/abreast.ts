import { memo, NumbersMemo } from "@dfine/tensor/kernel";
import type { Block } from "../memory/gpuBuffer.ts";
import { grid } from "../print/grid.ts";
import { shaderText } from "../print/library.ts";
import type { Command } from "./command.ts";
import { PART_THREADS, type Shader } from "./shader.ts";

/** A slot of the joint kernel for each buffer of a part. */
type Slots = readonly number[];

/** Joint kernels; a training step of D-FINE needs some hundred. */
const MOST_JOINTS = 4096;
const joints = new NumbersMemo<Shader>(MOST_JOINTS);
const ids = new WeakMap<Shader, number>();
let count = 0;

/** Whether two kernels see what both bind as elements of one type. */
export const mayStandAbreast = (first: Command, second: Command): boolean =>
  first.blocks.every((block, i) => {
    const k = second.blocks.indexOf(block);
    return k < 0 || first.shader.part!.types[i] === second.shader.part!.types[k];
  });

/** Several commands as one. Its uniforms are `ends`, where the workgroups of each end, and then those of each. */
interface Joint extends Omit<Command, "words"> {
  readonly ends: readonly number[];
}

/** Commands as one, whose first workgroups are those of the first. */
export function abreast(commands: readonly Command[]): Joint {
  if (commands.length === 1) return { ...commands[0]!, ends: [] };
  const blocks: Block[] = [];
  const slots = commands.map((command) =>
    command.blocks.map((block) => {
      const known = blocks.indexOf(block);
      return known < 0 ? blocks.push(block) - 1 : known;
    }),
  );
  const key: (number | readonly number[])[] = commands.map(({ shader }) => memo(ids, shader, () => count++));
  key.push(...slots);
  const shader = joints.get(key, () =>
    jointShader(
      commands.map((command) => command.shader),
      slots,
    ),
  );
  let [groups, work] = [0, 0];
  const ends = commands.map((command) => {
    const [x, y, z] = command.workgroups;
    work += command.work ?? 0;
    groups += x * y * z;
    return groups;
  });
  return { shader, blocks, workgroups: grid(groups), work, ends };
}

function jointShader(shaders: readonly Shader[], slots: readonly Slots[]): Shader {
  const parts = shaders.map(({ part }, i) => ({ name: `part${i}`, end: `end${i}`, part: part!, slots: slots[i]! }));
  const bindings: { name: string; mode: "read" | "write"; type: string }[] = [];
  for (const [i, { part, slots: own }] of parts.entries())
    for (const [k, slot] of own.entries()) {
      const isWritten = shaders[i]!.access[k] === "write" || bindings[slot]?.mode === "write";
      bindings[slot] = { name: `b${slot}`, mode: isWritten ? "write" : "read", type: part.types[k]! };
    }
  const fields = [
    ...parts.map(({ end }) => ({ name: end })),
    ...parts.flatMap(({ name, part }) => part.fields.map((field) => ({ ...field, name: `${name}_${field.name}` }))),
  ];
  const calls = parts.map(({ name, end }, i) => {
    const start = i === 0 ? "index" : `index - u.${parts[i - 1]!.end}`;
    return `if (index < u.${end}) { ${name}(${start}, local); }`;
  });
  const shared = [...new Set(parts.flatMap(({ part }) => part.shared))];
  const body = `
${shared.join("\n")}
${parts.map(({ name, part, slots: own }) => part.print(name, own)).join("\n")}
@compute @workgroup_size(${PART_THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let index = i32(group.y * groups.x + group.x);
  ${calls.join(" else ")}
}`;
  return {
    name: parts.map(({ part }) => part.name).join(" | "),
    key: `abreast ${shaders.map(({ key }, i) => `${key} at ${slots[i]}`).join(" & ")}`,
    code: shaderText(fields, bindings, body),
    access: bindings.map(({ mode }) => mode),
    about: shaders.map(({ about }) => about).join("\n\n"),
  };
}
