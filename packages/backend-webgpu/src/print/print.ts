import { describe, type Kernel } from "@dfine/tensor/kernel";
import { PART_THREADS, type Shader, type StorageAccess } from "../commands/shader.ts";
import { sharedArrays } from "./foldLines.ts";
import { type Field, fieldsOf, type Nest, nestOf } from "./layout.ts";
import { shaderText, typeOf } from "./library.ts";
import { printPart, printRows } from "./rows.ts";
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
  const types = access.map((_, slot) => typeOf(slotDtype(kernel, slots, slot), slots.inFours[slot] ? 4 : 1));
  const bindings = access.map((mode, slot) => ({ name: `b${slot}`, mode, type: types[slot]! }));
  const asPart = (name: string, places: readonly number[]): string => {
    const inFours: boolean[] = [];
    for (const [slot, place] of places.entries()) inFours[place] = slots.inFours[slot]!;
    const placed = { of: slots.of.map((slot) => places[slot]!), inFours };
    const own = fields.map((field) => `let ${field.name} = u.${name}_${field.name};`).join(" ");
    return printPart(name, kernel, { nest, slots: placed, schedule, start: own }).join("\n");
  };
  return {
    shader: {
      name: `${kernel.name} [${scheduleText(schedule)}]`,
      key: `${kernel.key}|${scheduleText(schedule)}|${slotsText(slots)}`,
      code: shaderText(fields, bindings, body),
      access,
      about: describe(kernel),
      ...(mayBePart(kernel, schedule)
        ? { part: { name: kernel.name, fields, types, shared: sharedArrays(kernel, schedule), print: asPart } }
        : {}),
    },
    fields,
    nest,
    schedule,
  };
}

/** Whether its workgroups are as large as a part's, and whatever is indexed is only read. */
const mayBePart = (kernel: Kernel, { rows, lanes, ordered }: Schedule): boolean =>
  rows * lanes === PART_THREADS &&
  !ordered &&
  kernel.operands.every(({ indexed, mode }) => !indexed || mode === "read");

const slotAccess = (kernel: Kernel, slots: Slots): StorageAccess[] =>
  slots.inFours.map((_, slot) =>
    kernel.operands.some((operand, k) => slots.of[k] === slot && operand.mode !== "read") ? "write" : "read",
  );
