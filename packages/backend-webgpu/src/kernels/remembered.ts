import type { Dtype } from "@dfine/tensor";
import { type Epilogue, NumbersMemo, type Overrides, type View } from "@dfine/tensor/kernel";
import type { Command } from "../commands/command.ts";
import type { CommandQueue } from "../commands/queue.ts";
import type { Folds } from "../folds/folds.ts";
import type { GpuBuffer } from "../memory/gpuBuffer.ts";
import type { Pool } from "../memory/pool.ts";
import type { GpuRuntime, PartedSum } from "./runtime.ts";
import { type BufferView, shaderOf, type WgslCall, type WgslKernel, wordsOf } from "./wgslKernel.ts";

/** Which of a call's inputs, outputs and scratch, and how far into it. */
interface Bound {
  readonly of: number;
  readonly shift: number;
}

/** A dispatch of a hand-written kernel, its views told by those of the op's call. */
interface Dispatch extends Pick<Command, "shader" | "workgroups" | "work"> {
  readonly kind: "dispatch";
  /** For each binding what it is of, and in which steps its start counts. */
  readonly bindings: readonly (Bound & { readonly unit: 1 | 4 })[];
  /** Uniforms, the first of them where bindings start, which are put in for each call. */
  readonly words: Int32Array;
}
/** A sum that is put off, of parts and into a view of the call. */
interface AddUp extends Pick<PartedSum, "length" | "parts"> {
  readonly kind: "addUp";
  readonly partials: Bound;
  readonly to: Bound;
}

type Step =
  | Dispatch
  | AddUp
  | { readonly kind: "room"; readonly length: number; readonly to: Bound }
  | { readonly kind: "lend"; readonly length: number; readonly dtype: Dtype }
  | { readonly kind: "giveBack"; readonly scratch: number };

/** What an override does for certain shapes, strides and attributes. */
interface Remembered {
  readonly variant: string | undefined;
  /** Undefined before the first run. */
  steps: readonly Step[] | undefined;
}

/** More than a step of the largest model calls. */
const MOST_CALLS = 1 << 12;

/**
 * What hand-written kernels run on, and a function that remembers what they do: overrides whose dispatches follow from shapes,
 * strides, alignment and attributes alone run once for these, and later calls repeat the dispatches, until `forget` is called since
 * kernels or limits were measured anew.
 */
export function remembering(
  { queue, pool, folds, check }: { queue: CommandQueue; pool: Pool; folds: Folds; check: () => void },
  settings: Omit<GpuRuntime, "dispatch" | "withScratch" | "addUp" | "settle">,
): { runtime: GpuRuntime; remembered: (overrides: Overrides) => Overrides; forget: () => void } {
  let recording: Recording | undefined;
  /** Of what follows besides from what was measured. */
  let measurements = 0;
  const runtime: GpuRuntime = {
    ...settings,
    dispatch(kernel, call) {
      check();
      const names = Object.keys(kernel.bindings) as (keyof typeof call.views)[];
      const [x, y = 1, z = 1] = call.workgroups;
      const command: Command = {
        shader: shaderOf(kernel),
        blocks: names.map((name) => (call.views[name].buffer as GpuBuffer).block),
        words: wordsOf(kernel, call),
        workgroups: [x, y, z],
        ...(call.work === undefined ? {} : { work: call.work }),
      };
      recording?.dispatch(command, kernel, call);
      queue.dispatch(command);
    },
    withScratch(length, dtype, use) {
      check();
      const buffer = pool.alloc(length, dtype);
      const given = recording?.lend(buffer);
      try {
        return use({ buffer, dtype, shape: [length], strides: [1], offset: 0 });
      } finally {
        folds.free(buffer);
        if (given !== undefined) recording?.giveBack(given);
      }
    },
    addUp(sum, write) {
      check();
      const partials = folds.room(sum.parts * sum.length, sum.to.buffer as GpuBuffer);
      recording?.makeRoom(partials, sum);
      write(partials);
      recording?.addUp(partials, sum);
      addUp(partials, sum);
    },
    settle: () => folds.settle(),
  };

  const addUp = (partials: BufferView, { to, length, parts }: PartedSum): void =>
    folds.add({ from: placeOf(partials), to: placeOf(to), columns: length, parts, partStep: length });

  const record = (views: readonly BufferView[], run: () => void): readonly Step[] | undefined => {
    const own = new Recording(views);
    const before = recording;
    recording = own;
    try {
      run();
    } finally {
      recording = before;
    }
    return own.steps;
  };

  const repeat = (steps: readonly Step[], views: readonly BufferView[]): void => {
    check();
    const places: BufferView[] = [...views];
    for (const step of steps) {
      if (step.kind === "room") {
        places.push(folds.room(step.length, places[step.to.of]!.buffer as GpuBuffer));
      } else if (step.kind === "lend") places.push({ buffer: pool.alloc(step.length, step.dtype), offset: 0 });
      else if (step.kind === "giveBack") folds.free(places[step.scratch]!.buffer);
      else if (step.kind === "addUp") {
        const at = ({ of, shift }: Bound): BufferView => ({ ...places[of]!, offset: places[of]!.offset + shift });
        addUp(at(step.partials), { ...step, to: at(step.to) });
      } else {
        const { shader, bindings, words, workgroups, work = 0 } = step;
        const blocks = bindings.map(({ of }) => (places[of]!.buffer as GpuBuffer).block);
        for (let i = 0; i < bindings.length; i++) {
          const { of, shift, unit } = bindings[i]!;
          words[i] = (places[of]!.offset + shift) / unit;
        }
        queue.dispatch({ shader, blocks, words, workgroups, work });
      }
    }
  };

  const remembered = (overrides: Overrides): Overrides =>
    Object.fromEntries(
      Object.entries(overrides as Record<string, AnyOverride>).map(([op, { select, run, ...others }]) => {
        const known = new NumbersMemo<Remembered>(MOST_CALLS);
        const find = (inputs: readonly View[], attrs: unknown, epilogue?: Epilogue): Remembered =>
          known.get(keyOf(measurements, inputs, { attrs, epilogue }), () => ({
            variant: select(inputs, attrs),
            steps: undefined,
          }));
        /** What was selected last, which mostly runs next. */
        let selected: { readonly inputs: readonly View[]; readonly entry: Remembered } | undefined;
        const own: AnyOverride = {
          ...others,
          select(inputs, attrs) {
            if (queue.rehearsing) return select(inputs, attrs);
            selected = { inputs, entry: find(inputs, attrs) };
            return selected.entry.variant;
          },
          run(call) {
            if (queue.rehearsing) {
              run(call);
              return;
            }
            const { inputs, outputs, attrs, epilogue } = call;
            const views = [...inputs, ...outputs, ...(epilogue?.operands ?? []).map(({ view }) => view)];
            const isSelected = selected?.inputs === inputs && !epilogue;
            const entry = isSelected ? selected!.entry : find(inputs, attrs, epilogue);
            selected = undefined;
            if (entry.steps) repeat(entry.steps, views);
            else entry.steps = record(views, () => run(call));
          },
        };
        return [op, own];
      }),
    );
  const forget = (): void => {
    measurements++;
  };
  return { runtime, remembered, forget };
}

interface AnyOverride {
  select(inputs: readonly View[], attrs: unknown): string | undefined;
  run(call: {
    readonly variant: string;
    readonly inputs: readonly View[];
    readonly outputs: readonly View[];
    readonly attrs: unknown;
    readonly epilogue?: Epilogue;
  }): void;
}

/** What one run asks of the device. */
class Recording {
  readonly #places: BufferView[];
  readonly #steps: Step[] = [];
  /** Whether views can be told from each other by their buffers. */
  #isClear: boolean;

  constructor(views: readonly BufferView[]) {
    this.#places = [...views];
    this.#isClear = new Set(views.map(({ buffer }) => buffer)).size === views.length;
  }

  /** Undefined where the run cannot be repeated. */
  get steps(): readonly Step[] | undefined {
    return this.#isClear ? this.#steps : undefined;
  }

  dispatch(
    { shader, workgroups, words, work }: Command,
    kernel: WgslKernel,
    { views }: WgslCall<string, string>,
  ): void {
    const bindings = Object.entries(kernel.bindings).map(([name, type]) => {
      const unit: 1 | 4 = type.endsWith("vec4f") ? 4 : 1;
      return { ...this.#find(views[name]!), unit };
    });
    const own = { shader, workgroups, words: Int32Array.from(words), ...(work === undefined ? {} : { work }) };
    this.#steps.push({ kind: "dispatch", bindings, ...own });
  }

  addUp(partials: BufferView, { to, length, parts }: PartedSum): void {
    this.#steps.push({ kind: "addUp", partials: this.#find(partials), to: this.#find(to), length, parts });
  }

  #find({ buffer, offset }: BufferView): Bound {
    const of = this.#places.findIndex((place) => place.buffer === buffer);
    this.#isClear &&= of >= 0;
    return { of, shift: offset - (this.#places[of]?.offset ?? 0) };
  }

  makeRoom(partials: BufferView, { to, parts, length }: PartedSum): void {
    this.#isClear &&= this.#places.every(({ buffer }) => buffer !== partials.buffer);
    this.#steps.push({ kind: "room", length: parts * length, to: this.#find(to) });
    this.#places.push(partials);
  }

  lend(buffer: GpuBuffer): number {
    this.#steps.push({ kind: "lend", length: buffer.length, dtype: buffer.dtype });
    return this.#places.push({ buffer, offset: 0 }) - 1;
  }

  giveBack(scratch: number): void {
    this.#steps.push({ kind: "giveBack", scratch });
  }
}

const placeOf = ({ buffer, offset }: BufferView) => ({ buffer: buffer as GpuBuffer, offset });

/** Elements to a multiple of which kernels look where a view starts. */
const ALIGNMENT = 4;

function keyOf(
  measurements: number,
  inputs: readonly View[],
  { attrs, epilogue }: { attrs: unknown; epilogue: Epilogue | undefined },
): (number | readonly number[])[] {
  const key: (number | readonly number[])[] = [measurements];
  for (const { dtype, shape, strides, offset } of inputs) key.push(numberOf(dtype), shape, strides, offset % ALIGNMENT);
  addNumbers(key, attrs);
  if (epilogue) key.push(numberOf(epilogue.name));
  return key;
}

/** By text: a number of its own. */
const textNumbers = new Map<string, number>();

/** Attributes, whatever they are made of, as numbers. */
function addNumbers(to: (number | readonly number[])[], value: unknown): void {
  if (typeof value === "number") to.push(value);
  else if (typeof value === "string" || typeof value !== "object" || value === null) to.push(numberOf(String(value)));
  else if (Array.isArray(value)) {
    to.push(value.length);
    for (let i = 0; i < value.length; i++) addNumbers(to, value[i]);
  } else
    for (const name in value) {
      to.push(numberOf(name));
      addNumbers(to, (value as Record<string, unknown>)[name]);
    }
}

function numberOf(text: string): number {
  const known = textNumbers.get(text);
  if (known !== undefined) return known;
  textNumbers.set(text, textNumbers.size);
  return textNumbers.size - 1;
}
