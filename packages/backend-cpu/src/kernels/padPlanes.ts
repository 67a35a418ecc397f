import type { CpuRuntime } from "../runtime.ts";
import type { Local } from "../wasm/assembler.ts";
import { loadRow } from "../wasm/vectors.ts";
import { launchNamed, namedKernel } from "./args.ts";
import type { Axes, PlaneLayout } from "./paddedAxes.ts";

// No tile: rows are copied by vectors, which are dealt out to phases where there are two. Of copying (`tile.ts`) 37 % at
// 40², 24 % in phases; rows that short cost as much to begin as to copy.

const NAMES = [
  ...(["from", "to", "height", "width", "rows", "before", "beforeX", "phasesY", "phasesX"] as const),
  ...(["columns", "phaseBytes", "planeBytes", "spans", "wideFirst", "wideLast"] as const),
] as const;

/**
 * Units are planes: copies each into padded phases, zeros elsewhere, row by row as they lie. A span is a column phase's [first,
 * last, source]; between `wideFirst` and `wideLast` all phases have elements.
 */
const KERNEL = namedKernel("padPlanes", NAMES, (f, arg) => {
  const [plane, phaseY, phaseX, row, base, to, y] = f.locals("i32", 7);
  const [source, first, last, line, from, column, span, middle] = f.locals("i32", 8);
  const values = f.locals("v128", 2);

  const place = () => f.get(to, column).i32(2).op("i32.shl", "i32.add");
  const zeros = (end: Local) => {
    f.for(column, { from: column, to: end }, () => place().f32(0).memory("f32.store"));
  };
  const copies = (end: Local) => {
    f.for(column, { from: column, to: end }, () => {
      place().get(from).memory("f32.load").memory("f32.store");
      f.get(from, arg.phasesX).i32(2).op("i32.shl", "i32.add").set(from);
    });
  };
  /** Copies four columns of one or two phases at a time, from `wideFirst` on; leaves the first column that is left in `middle`. */
  const vectors = (phases: 1 | 2) => {
    f.get(arg.phasesX).i32(phases).op("i32.eq");
    f.if(() => {
      f.get(arg.wideLast).i32(3).op("i32.sub").set(last);
      f.get(line, arg.wideFirst)
        .i32(1 + phases)
        .op("i32.shl", "i32.add")
        .set(from);
      f.for(column, { from: arg.wideFirst, to: last, step: 4 }, () => {
        loadRow(f, values.slice(0, phases), from);
        if (phases === 1) place().get(values[0]).memory("v128.store");
        else {
          place()
            .get(...values)
            .shuffle(0, 2, 4, 6)
            .memory("v128.store");
          place().get(arg.phaseBytes).op("i32.add");
          f.get(...values)
            .shuffle(1, 3, 5, 7)
            .memory("v128.store");
        }
        f.get(from)
          .i32(16 * phases)
          .op("i32.add")
          .set(from);
      });
      f.get(column).set(middle);
    });
  };
  /** What vectors leave of a row's phase. */
  const edges = () => {
    const at = (i: Local) => f.get(i, arg.phasesX).op("i32.mul").get(phaseX).op("i32.add").i32(2).op("i32.shl");
    f.get(arg.spans, phaseX).i32(8).op("i32.mul", "i32.add").tee(span).memory("i32.load").set(first);
    f.get(span).memory("i32.load", 4).set(last);
    zeros(first);
    at(column).get(line).op("i32.add").set(from);
    copies(arg.wideFirst);
    f.get(middle, column).op("i32.gt_s");
    f.if(() => f.get(middle).set(column));
    at(column).get(line).op("i32.add").set(from);
    copies(last);
  };

  f.for(plane, { from: f.begin, to: f.end }, () => {
    f.get(arg.to, plane, arg.planeBytes).op("i32.mul", "i32.add").set(base);
    f.get(arg.from, plane, arg.height).op("i32.mul").get(arg.width).op("i32.mul").i32(2).op("i32.shl", "i32.add");
    f.set(source);
    f.for(row, { from: 0, to: arg.rows }, () => {
      f.for(phaseY, { from: 0, to: arg.phasesY }, () => {
        f.get(row, arg.phasesY).op("i32.mul").get(phaseY).op("i32.add").get(arg.before).op("i32.sub").set(y);
        f.get(base, phaseY, arg.phasesX).op("i32.mul").get(arg.phaseBytes).op("i32.mul", "i32.add");
        f.get(row, arg.columns).op("i32.mul").i32(2).op("i32.shl", "i32.add").set(to);
        f.get(source, y, arg.width)
          .op("i32.mul")
          .get(arg.beforeX)
          .op("i32.sub")
          .i32(2)
          .op("i32.shl", "i32.add")
          .set(line);
        f.get(arg.wideFirst).set(middle);
        f.get(y, arg.height)
          .op("i32.lt_u")
          .if(() => {
            vectors(1);
            vectors(2);
          });
        f.for(phaseX, { from: 0, to: arg.phasesX }, () => {
          f.i32(0).set(column);
          f.get(y, arg.height).op("i32.lt_u").if(edges);
          zeros(arg.columns);
          f.get(to, arg.phaseBytes).op("i32.add").set(to);
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
  // Of each phase, the columns that lie in the source.
  const spans = Array.from({ length: x.phases }, (_, phase) => {
    const clip = (n: number) => Math.min(Math.max(n, 0), x.length);
    const first = clip(Math.ceil((x.before - phase) / x.phases));
    return [first, Math.max(first, clip(Math.ceil((width + x.before - phase) / x.phases)))] as const;
  });
  const [wideFirst, wideLast] = [
    Math.max(...spans.map(([first]) => first)),
    Math.min(...spans.map(([, last]) => last)),
  ];
  runtime.withTables([spans.flat()], ([table]) =>
    launchNamed(runtime, KERNEL, {
      words: {
        from,
        to,
        height,
        width,
        rows: y.length,
        before: y.before,
        beforeX: x.before,
        phasesY: y.phases,
        phasesX: x.phases,
        columns: x.length,
        phaseBytes: layout.phase,
        planeBytes: layout.plane,
        spans: table!,
        ...(wideFirst < wideLast ? { wideFirst, wideLast } : { wideFirst: 0, wideLast: 0 }),
      },
      units: planes,
      grain: Math.max(1, Math.ceil(CHUNK / (layout.plane / 4))),
    }),
  );
}
