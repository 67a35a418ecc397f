import type { CpuRuntime } from "../runtime.ts";
import type { Local } from "../wasm/assembler.ts";
import { launchNamed, namedKernel } from "./args.ts";
import type { Axes, PlaneLayout } from "./paddedAxes.ts";

// No tile: rows are copied by vectors, which are dealt out to phases where there are two. Of copying (`tile.ts`) 37 % at
// 40², 24 % in phases; rows that short cost as much to begin as to copy.

const NAMES = [
  ...(["from", "to", "height", "width", "rows", "before", "phasesY", "phasesX"] as const),
  ...(["columns", "planeBytes", "spans"] as const),
] as const;

/** Units are planes: copies each into padded phases, zeros elsewhere. A span is a column phase's [first, last, source]. */
const KERNEL = namedKernel("padPlanes", NAMES, (f, arg) => {
  const [plane, phaseY, phaseX, row, to, y] = f.locals("i32", 6);
  const [source, first, last, from, column, span] = f.locals("i32", 6);

  const zeros = (end: Local) => {
    f.block((done) => {
      f.loop((next) => {
        f.get(column, end).op("i32.ge_s").brIf(done);
        f.get(to, column).i32(2).op("i32.shl", "i32.add").f32(0).memory("f32.store");
        f.get(column).i32(1).op("i32.add").set(column).br(next);
      });
    });
  };
  /** Four columns at a time while more than `slack` are left. */
  const vectors = (slack: number, load: () => void, step: number) => {
    f.block((done) => {
      f.loop((next) => {
        f.get(last, column)
          .op("i32.sub")
          .i32(4 + slack)
          .op("i32.lt_s")
          .brIf(done);
        f.get(to, column).i32(2).op("i32.shl", "i32.add");
        load();
        f.memory("v128.store");
        f.get(from).i32(step).op("i32.add").set(from);
        f.get(column).i32(4).op("i32.add").set(column).br(next);
      });
    });
  };
  const copyRow = () => {
    f.get(arg.phasesX)
      .i32(1)
      .op("i32.eq")
      .if(() => vectors(0, () => f.get(from).memory("v128.load"), 16));
    f.get(arg.phasesX)
      .i32(2)
      .op("i32.eq")
      .if(() =>
        // The second load reaches one element past the last one wanted.
        vectors(1, () => f.get(from).memory("v128.load").get(from).memory("v128.load", 16).shuffle(0, 2, 4, 6), 32),
      );
    f.block((done) => {
      f.loop((next) => {
        f.get(column, last).op("i32.ge_s").brIf(done);
        f.get(to, column).i32(2).op("i32.shl", "i32.add").get(from).memory("f32.load").memory("f32.store");
        f.get(from, arg.phasesX).i32(2).op("i32.shl", "i32.add").set(from);
        f.get(column).i32(1).op("i32.add").set(column).br(next);
      });
    });
  };

  f.for(plane, { from: f.begin, to: f.end }, () => {
    f.get(arg.to, plane, arg.planeBytes).op("i32.mul", "i32.add").set(to);
    f.get(arg.from, plane, arg.height).op("i32.mul").get(arg.width).op("i32.mul").i32(2).op("i32.shl", "i32.add");
    f.set(source);
    f.for(phaseY, { from: 0, to: arg.phasesY }, () => {
      f.for(phaseX, { from: 0, to: arg.phasesX }, () => {
        f.get(arg.spans, phaseX).i32(12).op("i32.mul", "i32.add").tee(span).memory("i32.load").set(first);
        f.get(span).memory("i32.load", 4).set(last);
        f.for(row, { from: 0, to: arg.rows }, () => {
          f.get(row, arg.phasesY).op("i32.mul").get(phaseY).op("i32.add").get(arg.before).op("i32.sub").set(y);
          f.i32(0).set(column);
          f.get(y, arg.height)
            .op("i32.lt_u")
            .if(() => {
              zeros(first);
              f.get(y, arg.width).op("i32.mul").get(span).memory("i32.load", 8).op("i32.add");
              f.i32(2).op("i32.shl").get(source).op("i32.add").set(from);
              copyRow();
            });
          zeros(arg.columns);
          f.get(to, arg.columns).i32(2).op("i32.shl", "i32.add").set(to);
        });
      });
    });
  });
});

export interface PadPlanes {
  readonly from: number;
  readonly to: number;
  readonly planes: number;
  /** Of a source plane; source planes follow each other. */
  readonly size: readonly [number, number];
  readonly axes: Axes;
  readonly layout: PlaneLayout;
}

// Elements that one chunk copies at least.
const CHUNK = 32768;

/** Copies planes [H, W] into their padded, phase-split form. */
export function padPlanes(runtime: CpuRuntime, { from, to, planes, size, axes: [y, x], layout }: PadPlanes): void {
  const [height, width] = size;
  const clip = (n: number) => Math.min(Math.max(n, 0), x.length);
  const spans = Array.from({ length: x.phases }, (_, phase) => {
    const first = clip(Math.ceil((x.before - phase) / x.phases));
    const last = Math.max(first, clip(Math.ceil((width + x.before - phase) / x.phases)));
    return [first, last, first * x.phases + phase - x.before];
  });
  runtime.withTables([spans.flat()], ([spans]) =>
    launchNamed(runtime, KERNEL, {
      words: {
        from,
        to,
        height,
        width,
        rows: y.length,
        before: y.before,
        phasesY: y.phases,
        phasesX: x.phases,
        columns: x.length,
        planeBytes: layout.plane,
        spans: spans!,
      },
      units: planes,
      grain: Math.max(1, Math.ceil(CHUNK / (layout.plane / 4))),
    }),
  );
}
