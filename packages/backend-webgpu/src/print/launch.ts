import { sizeOf } from "@dfine/tensor";
import {
  type Binding,
  type Kernel,
  type Launch,
  load,
  memo,
  NumbersMemo,
  type Operand,
  type OrderOf,
  scatters,
} from "@dfine/tensor/kernel";
import type { CommandQueue } from "../commands/queue.ts";
import type { Region } from "../commands/region.ts";
import type { Limits } from "../device/workLimits.ts";
import type { Block, GpuBuffer } from "../memory/gpuBuffer.ts";
import type { Pool } from "../memory/pool.ts";
import { grid } from "./grid.ts";
import { type Field, isElementwise, type LaunchValues, type Nest, nestOf } from "./layout.ts";
import { runPacked } from "./packReads.ts";
import { type Printed, printKernel } from "./print.ts";
import { chooseSchedule, laneSplit, type Schedule, scheduleText } from "./schedule.ts";
import { type Slots, slotsText } from "./storage.ts";

export interface GeneratorOptions {
  readonly queue: CommandQueue;
  readonly pool: Pool;
  /** Storage buffers that a kernel may bind. */
  readonly maxBindings: number;
  /** How many element visits one dispatch may have; more are split. */
  readonly limits: Pick<Limits, "visits">;
  /** Whether to print for a GPU, with workgroup memory and barriers; otherwise for software, where these are slow. */
  readonly barriers: boolean;
  /** Element visits from which on kernels of several axes go by four in software. */
  readonly quadVisits: number;
}

/** A launch up to its buffers, offsets and numbers. */
interface Ready {
  readonly printed: Printed;
  /** Uniforms; those of `varying` are put in for each dispatch. */
  readonly words: Int32Array;
  readonly varying: readonly (readonly [index: number, field: Field])[];
  readonly lanes: LaunchValues["lanes"];
  readonly dispatches: readonly Pick<LaunchValues, "first" | "last">[];
  /** Element visits of a row. */
  readonly cost: number;
}

/** What runs generated kernels, and knows how they form sums. */
export interface Launcher {
  readonly run: (kernel: Kernel, launch: Launch) => void;
  readonly orderOf: OrderOf;
}

/** Prints each kernel once per schedule and per way in which its operands share buffers. */
export function launcherOf(options: GeneratorOptions): Launcher {
  const { barriers, quadVisits, maxBindings, limits, queue, pool } = options;
  const known = new Map<Kernel, Map<string, Printed>>();
  const ready = new WeakMap<object, NumbersMemo<Ready>>();

  const scheduled = (kernel: Kernel, launch: Launch, of: readonly number[]): { schedule: Schedule; slots: Slots } => {
    const nest = nestOf(kernel);
    const inFours = Array.from({ length: Math.max(...of) + 1 }, (_, slot) =>
      kernel.operands.every(
        (operand, k) => of[k] !== slot || walksInFours(operand, launch.operands[k]!, nest.innermost),
      ),
    );
    const { sizes } = launch;
    const { quads, vec4 } = chooseQuads(kernel, launch, { nest, slots: { of, inFours }, barriers, quadVisits });
    const schedule = chooseSchedule(kernel, { nest, sizes, barriers, quads });
    return { schedule, slots: { of, inFours: inFours.map((four) => four && vec4) } };
  };

  const prepare = (kernel: Kernel, launch: Launch, of: readonly number[]): Ready => {
    const { schedule, slots } = scheduled(kernel, launch, of);
    const variants = memo(known, kernel, () => new Map<string, Printed>());
    const printed = memo(variants, `${scheduleText(schedule)}|${slotsText(slots)}`, () =>
      printKernel(kernel, schedule, slots),
    );
    return { ...split(launch, printed, kernel.stages.length), printed };
  };

  const split = (launch: Launch, { nest, schedule, fields }: Printed, stages: number): Omit<Ready, "printed"> => {
    const steps = (axis: number): number =>
      schedule.quads && axis === nest.innermost ? Math.ceil(launch.sizes[axis]! / 4) : launch.sizes[axis]!;
    const count = (axes: readonly number[]): number => sizeOf(axes.map(steps));
    const rows = count(nest.rows);
    const visits = Math.max(1, count(nest.loops) * stages);
    const lanes = laneSplit(nest, launch.sizes, schedule);
    const cost = schedule.ordered ? visits * SERIAL_COST : visits;
    const groups = Math.max(1, Math.floor(limits.visits / cost / schedule.rows));
    const most = groups * schedule.rows;
    const dispatches = Array.from({ length: Math.ceil(rows / most) }, (_, i) => ({
      first: i * most,
      last: Math.min((i + 1) * most, rows),
    }));
    const words = Int32Array.from(fields, (field) =>
      field.varies ? 0 : field.word({ launch, lanes, first: 0, last: rows }),
    );
    const varying = [...fields.entries()].filter(([, field]) => field.varies);
    return { words, varying, lanes, dispatches, cost };
  };

  const run = (kernel: Kernel, launch: Launch): void => {
    const { of, blocks, aligned } = bindingsOf(launch);
    if (blocks.length === 2 && movesBytes(kernel)) {
      const [from, to] = launch.operands.map(({ buffer, offset }) => ({
        block: (buffer as GpuBuffer).block,
        byteOffset: offset * 4,
      }));
      queue.copy(from!, to!, launch.sizes[0]! * 4);
      return;
    }
    if (blocks.length > maxBindings) {
      runPacked(kernel, launch, { queue, pool, maxBindings, run: (packed) => run(kernel, packed) });
      return;
    }
    const make = (): Ready => prepare(kernel, launch, of);
    const alike = launch.alike && memo(ready, launch.alike, () => new NumbersMemo<Ready>(MOST_WAYS));
    const { printed, words, varying, lanes, dispatches, cost } = alike ? alike.get([of, aligned], make) : make();
    const { shader, schedule } = printed;
    for (let i = 0; i < dispatches.length; i++) {
      const { first, last } = dispatches[i]!;
      const values = { launch, first, last, lanes };
      for (let k = 0; k < varying.length; k++) words[varying[k]![0]] = varying[k]![1].word(values);
      const workgroups: [number, number, number] = schedule.ordered
        ? [1, 1, 1]
        : grid(Math.ceil((last - first) / schedule.rows));
      const written = (slot: number) => writtenBy(launch, { of, slot });
      const command = { shader, blocks, words, workgroups, work: (last - first) * cost, written };
      if (shader.part) queue.hold(command);
      else queue.dispatch(command);
    }
  };

  const orderOf = (kernel: Kernel, launch: Launch): string[] => {
    const { lanes, quads } = scheduled(kernel, launch, bindingsOf(launch).of).schedule;
    return kernel.stages.flatMap(({ kind }) => (kind === "reduce" ? [`${lanes}${quads ? " by 4" : ""}`] : []));
  };
  return { run, orderOf };
}

/** Ways in which operands of launches that are otherwise alike share buffers and are aligned. */
const MOST_WAYS = 16;

/** How many times longer a visit takes where one workgroup makes them all. */
const SERIAL_COST = 256;

/** Whether a kernel does nothing but move elements that lie side by side: a copy of bytes, which needs neither bindings nor uniforms. */
function movesBytes({ axes, operands, stages: [stage, ...rest] }: Kernel): boolean {
  if (stage?.kind !== "store" || rest.length > 0 || stage.writes.length !== 1 || operands.length !== 2) return false;
  const isCopied = stage.writes[0]!.expr === load(0, operands[0]!.dtype);
  return isCopied && axes.length === 1 && operands.every(({ walk: [step] }) => step === "unit");
}

/**
 * A buffer that appears in several views is bound once: WebGPU takes none for reading and writing at a time. `aligned` has a bit
 * for each operand that starts at a multiple of four elements.
 */
function bindingsOf({ operands }: Launch): { of: number[]; blocks: Block[]; aligned: number } {
  const blocks: Block[] = [];
  let aligned = 0;
  const of = operands.map(({ buffer, offset }) => {
    const { block } = buffer as GpuBuffer;
    aligned = 2 * aligned + (offset % 4 === 0 ? 1 : 0);
    const known = blocks.indexOf(block);
    return known >= 0 ? known : blocks.push(block) - 1;
  });
  return { of, blocks, aligned };
}

/** What a launch writes in a slot that one operand alone has. */
function writtenBy(
  { operands, sizes }: Launch,
  { of, slot }: { of: readonly number[]; slot: number },
): Region | undefined {
  const own = of.indexOf(slot);
  if (own !== of.lastIndexOf(slot)) return undefined;
  const { offset, strides } = operands[own]!;
  return { offset, sizes, strides };
}

/** Whether a view goes along an axis in fours that lie at multiples of four. */
const walksInFours = ({ walk, indexed }: Operand, { offset, strides }: Binding, axis: number | undefined): boolean =>
  axis !== undefined &&
  !indexed &&
  walk[axis] === "unit" &&
  offset % 4 === 0 &&
  strides.every((stride, other) => other === axis || stride % 4 === 0);

/** Below this, fours along one of several axes don't pay. */
const LEAST_QUAD = 8;
/** Element visits from which on fours are worth their code in software, where compiling costs more than running little. */
export const QUAD_VISITS = 2 ** 20;

/**
 * Whether to go along the innermost axis by four, and whether to bind as vec4 what can be. In software fours pay by
 * themselves, since the loop's upkeep is shared, but only in large kernels or simple ones. On hardware only aligned vec4
 * does: elsewhere neighbouring threads should read neighbouring elements.
 */
function chooseQuads(
  kernel: Kernel,
  { sizes }: Launch,
  { nest, slots, barriers, quadVisits }: { nest: Nest; slots: Slots; barriers: boolean; quadVisits: number },
): { quads: boolean; vec4: boolean } {
  const axis = nest.innermost;
  const alone = kernel.axes.length === 1;
  const never = { quads: false, vec4: false };
  if (axis === undefined || scatters(kernel)) return never;
  if ((!isElementwise(kernel) && nest.loops.length === 0) || (!alone && sizes[axis]! < LEAST_QUAD)) return never;
  const aligned =
    (alone || sizes[axis]! % 4 === 0) &&
    kernel.operands.every(({ walk }, k) => walk[axis] !== "unit" || slots.inFours[slots.of[k]!]);
  if (!barriers) {
    const visits = sizeOf(sizes);
    return { quads: (alone && nest.loops.length === 0) || visits >= quadVisits, vec4: alone && aligned };
  }
  return { quads: aligned && slots.inFours.includes(true), vec4: aligned };
}
