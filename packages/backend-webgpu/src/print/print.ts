import { describe, type Kernel } from "@dfine/tensor/kernel";
import type { Shader, StorageAccess } from "../commands/shader.ts";
import { type Field, fieldsOf, type Nest, nestOf } from "./layout.ts";
import { shaderText, typeOf } from "./library.ts";
import { printRows } from "./rows.ts";
import { type Schedule, scheduleText } from "./schedule.ts";
import { type Slots, slotDtype, slotsText } from "./storage.ts";

/** A kernel printed for a schedule. */
export interface Printed {
  readonly shader: Shader;
  readonly fields: readonly Field[];
  readonly nest: Nest;
  readonly schedule: Schedule;
}

/** Prints a kernel as WGSL. `slots` says which operands are views of one buffer. */
export function printKernel(kernel: Kernel, schedule: Schedule, slots: Slots): Printed {
  const nest = nestOf(kernel);
  const fields = fieldsOf(kernel, nest, { lanes: schedule.lanes > 1 });
  const access = slotAccess(kernel, slots);
  const start = fields.map(({ name }) => `let ${name} = u.${name};`).join(" ");
  const body = printRows(kernel, { nest, slots, schedule, start }).join("\n");
  const bindings = access.map((mode, slot) => {
    const type = typeOf(slotDtype(kernel, slots, slot), slots.inFours[slot] ? 4 : 1);
    return { name: `b${slot}`, mode, type };
  });
  return {
    shader: {
      name: `${kernel.name} [${scheduleText(schedule)}]`,
      key: `${kernel.key}|${scheduleText(schedule)}|${slotsText(slots)}`,
      code: shaderText(fields, bindings, body),
      access,
      about: describe(kernel),
    },
    fields,
    nest,
    schedule,
  };
}

const slotAccess = (kernel: Kernel, slots: Slots): StorageAccess[] =>
  slots.inFours.map((_, slot) =>
    kernel.operands.some((operand, k) => slots.of[k] === slot && operand.mode !== "read") ? "write" : "read",
  );
