import type { Kernel, Launch } from "@dfine/tensor";
import type { CommandQueue } from "../commands/queue.ts";
import { memo } from "../memo.ts";
import type { Block, GpuBuffer } from "../memory/gpuBuffer.ts";
import type { Pool } from "../memory/pool.ts";
import { nestOf, packWords } from "./layout.ts";
import { runPacked } from "./packReads.ts";
import { type Printed, printKernel } from "./print.ts";
import { chooseSchedule, laneSplit, scheduleText } from "./schedule.ts";

export interface GeneratorOptions {
  readonly queue: CommandQueue;
  readonly pool: Pool;
  /** Storage buffers that a kernel may bind. */
  readonly maxBindings: number;
  /** Element visits of one dispatch; more are split, so that no dispatch runs for seconds. */
  readonly maxVisits: number;
  /** Whether schedules may use workgroup memory and barriers; slow in software. */
  readonly barriers: boolean;
}

/** Runs generated kernels: prints each once per schedule and per way in which its operands share buffers. */
export class Generator {
  readonly #options: GeneratorOptions;
  readonly #printed = new Map<Kernel, Map<string, Printed>>();

  constructor(options: GeneratorOptions) {
    this.#options = options;
  }

  run(kernel: Kernel, launch: Launch): void {
    const { barriers, maxBindings, queue, pool } = this.#options;
    const { sizes } = launch;
    const schedule = chooseSchedule(kernel, { nest: nestOf(kernel), sizes, barriers });
    const { slots, blocks } = bindingsOf(launch);
    if (blocks.length > maxBindings) {
      runPacked(kernel, launch, { queue, pool, maxBindings, run: (packed) => this.run(kernel, packed) });
      return;
    }
    const variants = memo(this.#printed, kernel, () => new Map<string, Printed>());
    const printed = memo(variants, `${scheduleText(schedule)}|${slots}`, () => printKernel(kernel, schedule, slots));
    this.#dispatch(kernel, launch, { printed, blocks });
  }

  #dispatch(kernel: Kernel, launch: Launch, { printed, blocks }: { printed: Printed; blocks: readonly Block[] }): void {
    const { nest, schedule, fields, shader } = printed;
    const count = (axes: readonly number[]): number => axes.reduce((product, axis) => product * launch.sizes[axis]!, 1);
    const flat = schedule.kind === "tiles";
    const rows = count(flat ? [...nest.rows, ...nest.loops] : nest.rows);
    const visits = flat ? 1 : Math.max(1, count(nest.loops) * kernel.stages.length);
    const perGroup = schedule.kind === "rows" ? schedule.rows : 1;
    const lanes =
      schedule.kind === "rows" && schedule.lanes > 1 ? laneSplit(nest, launch.sizes, schedule.lanes) : new Map();
    const cost = schedule.kind === "rows" ? visits : visits * SERIAL_COST;
    const most = Math.max(perGroup, Math.floor(this.#options.maxVisits / cost / perGroup) * perGroup);
    for (let first = 0; first < rows; first += most) {
      const last = Math.min(first + most, rows);
      this.#options.queue.dispatch({
        shader,
        blocks,
        words: packWords(kernel, fields, { launch, first, last, lanes }),
        workgroups: schedule.kind === "rows" ? grid(Math.ceil((last - first) / perGroup)) : [1, 1, 1],
        work: (last - first) * cost,
      });
    }
  }
}

/** How many times longer a visit takes where one workgroup makes them all. */
const SERIAL_COST = 256;

const MOST_GROUPS = 65535;

/** Workgroups in two dimensions, where one does not take as many. */
export function grid(groups: number): [number, number, number] {
  const rows = Math.ceil(groups / MOST_GROUPS);
  return [Math.ceil(groups / rows), rows, 1];
}

/** A buffer that appears in several views is bound once: WebGPU takes none for reading and writing at a time. */
function bindingsOf({ operands }: Launch): { slots: number[]; blocks: Block[] } {
  const blocks: Block[] = [];
  const slots = operands.map(({ buffer }) => {
    const { block } = buffer as GpuBuffer;
    const known = blocks.indexOf(block);
    return known >= 0 ? known : blocks.push(block) - 1;
  });
  return { slots, blocks };
}
