import type { Local } from "../wasm/assembler.ts";
import { LANES } from "./nest.ts";
import { ELEMENT_BYTES, type Printing, type Site } from "./site.ts";

/** Code around stretches of a loop's iterations. */
export interface Strips {
  /** Iterations per strip. */
  readonly length: number;
  begin(): void;
  end(): void;
}

interface Counting {
  readonly counter: Local;
  /** Iterations go on while the counter is below. */
  readonly limit: Local;
  readonly step: number;
  readonly strips?: Strips | undefined;
}

/** Counts on from the counter's present value. */
function countUp({ f }: Printing, { counter, limit, step, strips }: Counting, body: () => void): void {
  const loop = (to: Local): void => {
    f.loop((again) => {
      body();
      f.get(counter).i32(step).op("i32.add").tee(counter).get(to).op("i32.lt_s").brIf(again);
    });
  };
  f.get(counter, limit).op("i32.lt_s");
  f.if(() => {
    if (!strips) {
      loop(limit);
      return;
    }
    const stop = f.local("i32");
    f.loop((again) => {
      strips.begin();
      f.get(counter)
        .i32(strips.length * step)
        .op("i32.add")
        .tee(stop);
      f.get(limit).get(stop).get(limit).op("i32.lt_s").select().set(stop);
      loop(stop);
      strips.end();
      f.get(counter, limit).op("i32.lt_s").brIf(again);
    });
    f.release(stop);
  });
}

/** Moves the addresses of `operands` by `steps` elements along an axis. */
function advance(
  printing: Printing,
  pointers: readonly Local[],
  by: { axis: number; operands: readonly number[]; steps: number },
): void {
  const { f, nest, strides } = printing;
  for (const k of by.operands) {
    const pointer = pointers[k]!;
    if (nest.kernel.operands[k]!.walk[by.axis] === "unit") f.get(pointer).i32(by.steps * ELEMENT_BYTES);
    else {
      f.get(pointer, strides[k]!.get(by.axis)!);
      if (by.steps > 1) f.i32(by.steps).op("i32.mul");
    }
    f.op("i32.add").set(pointer);
  }
}

/** Addresses of their own for the operands that move along `axis` and are used inside. */
function withPointers(
  printing: Printing,
  { axis, used, site }: { axis: number; used: ReadonlySet<number>; site: Site },
  body: (pointers: readonly Local[], moving: readonly number[]) => void,
): void {
  const { f, nest } = printing;
  const moving = nest.kernel.operands.flatMap(({ walk, indexed }, k) =>
    used.has(k) && !indexed && walk[axis] !== "still" ? [k] : [],
  );
  const pointers = [...site.pointers];
  for (const k of moving) {
    pointers[k] = f.local("i32");
    f.get(site.pointers[k]!).set(pointers[k]!);
  }
  body(pointers, moving);
  f.release(...moving.map((k) => pointers[k]!));
}

export interface AxisLoop {
  readonly axis: number;
  readonly site: Site;
  /** Operands whose addresses the body needs. */
  readonly used: ReadonlySet<number>;
  /** Where counting starts (default 0) and ends (default: the axis's size). */
  readonly from?: Local;
  readonly to?: Local;
  /** Cuts the main loop. */
  readonly strips?: Strips | undefined;
}

function start({ f, words, index }: Printing, { axis, from, to }: AxisLoop): Local {
  f.value(from ?? 0).set(index[axis]!);
  const limit = f.local("i32");
  if (to) f.get(to).set(limit);
  else f.arg(words.size.get(axis)!).set(limit);
  return limit;
}

/** A loop of single steps; lanes and groups stay what they are. */
export function stepLoop(printing: Printing, loop: AxisLoop, body: (site: Site) => void): void {
  const { f, index } = printing;
  const { axis, site, strips } = loop;
  const limit = start(printing, loop);
  withPointers(printing, loop, (pointers, operands) => {
    countUp(printing, { counter: index[axis]!, limit, step: 1, strips }, () => {
      body({ ...site, depth: site.depth + 1, pointers });
      advance(printing, pointers, { axis, operands, steps: 1 });
    });
  });
  f.release(limit);
}

/**
 * A loop of vectors along the vector axis: groups of vectors as long as they are full, then single ones, then single
 * elements, which run the same vector code, so that no result depends on where a vector ends.
 */
export function vectorLoop(
  printing: Printing,
  loop: AxisLoop & { readonly groups: number },
  body: (site: Site) => void,
): void {
  const { f, index } = printing;
  const { axis, site, strips, groups: most } = loop;
  const counter = index[axis]!;
  const limit = start(printing, loop);
  withPointers(printing, loop, (pointers, operands) => {
    const run = (width: 1 | 4, groups: number, cut?: Strips): void => {
      const step = width * groups;
      const last = f.local("i32");
      f.get(limit)
        .i32(step - 1)
        .op("i32.sub")
        .set(last);
      countUp(printing, { counter, limit: last, step, strips: cut }, () => {
        body({ depth: site.depth + 1, width, groups, pointers });
        advance(printing, pointers, { axis, operands, steps: step });
      });
      f.release(last);
    };
    run(LANES, most, strips);
    if (most > 1) run(LANES, 1);
    run(1, 1);
  });
  f.release(limit);
}
