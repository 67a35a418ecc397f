import type { WindowAxis } from "@dfine/tensor/kernel";

/** One kernel position along an axis: which phase of the input it reads, and how far along. */
interface AxisTap {
  /** Index in the kernel. */
  readonly index: number;
  readonly phase: number;
  readonly shift: number;
}

/** Outputs start, start + outStep, …; output t of a tap reads element t + shift of its phase. */
export interface Walk extends Pick<WindowAxis, "outputs" | "start" | "outStep"> {
  /** By ascending index. */
  readonly taps: readonly AxisTap[];
}

/** A padded copy along one axis, and the walks that read it. */
export interface PaddedAxis {
  /** The input is dealt out to this many phases, so that reads stay adjacent: element i of phase p is position i·phases + p − before. */
  readonly phases: number;
  /** Zeros before the input; negative when its first elements are not read. */
  readonly before: number;
  /** Elements of each phase. */
  readonly length: number;
  readonly walks: readonly Walk[];
}
/** Along rows, along columns. */
export type Axes = readonly [PaddedAxis, PaddedAxis];

/** One padded copy for windows that go through the input in steps of one length. */
export function paddedAxis(windows: readonly WindowAxis[]): PaddedAxis {
  const phases = windows[0]?.step ?? 1;
  const first = Math.min(...windows.map(({ taps, base }) => (taps > 0 ? base : Number.POSITIVE_INFINITY)));
  const before = Number.isFinite(first) ? 0 - first : 0;
  let length = 1;
  const walks = windows.map(({ outputs, start, outStep, ...window }) => {
    const taps: AxisTap[] = [];
    for (let j = 0; j < window.taps; j++) {
      const position = before + window.base + j * window.tapStep;
      const shift = Math.floor(position / phases);
      taps.push({ index: window.firstTap + j * window.tapIndexStep, phase: position % phases, shift });
      length = Math.max(length, outputs + shift);
    }
    return { outputs, start, outStep, taps: window.tapIndexStep < 0 ? taps.reverse() : taps };
  });
  return { phases, before, length, walks };
}

/** Where a plane's padded copy puts its elements, in bytes. */
export interface PlaneLayout {
  readonly row: number;
  readonly phase: number;
  /** All phases of a plane. */
  readonly plane: number;
}

const LINE = 64;

/** Phases follow each other by row phase, then column phase. Planes are an odd number of cache lines: no two collide. */
export function planeLayout([y, x]: Axes): PlaneLayout {
  const row = x.length * 4;
  const phase = y.length * row;
  const lines = Math.ceil((phase * y.phases * x.phases) / LINE);
  return { row, phase, plane: (lines + 1 - (lines % 2)) * LINE };
}

/** Byte offsets of the taps from an output's place in a plane, kernel rows first. Without walks: those of the only ones. */
export function tapOffsets(
  { axes: [y, x], layout }: { axes: Axes; layout: PlaneLayout },
  walks: readonly [Walk, Walk] = [y.walks[0]!, x.walks[0]!],
): number[] {
  const phaseOf = (ty: AxisTap, tx: AxisTap): number => ty.phase * x.phases + tx.phase;
  return walks[0].taps.flatMap((ty) =>
    walks[1].taps.map((tx) => phaseOf(ty, tx) * layout.phase + ty.shift * layout.row + tx.shift * 4),
  );
}
