import type { Conv2dAttrs, Conv2dInputGradAttrs } from "@dfine/tensor";
import {
  inputGradAxes as gradWindows,
  type Side,
  type WindowAxis,
  forwardAxis as windowAxis,
} from "@dfine/tensor/kernel";

/** One kernel position along an axis: which phase of the input it reads, and how far along. */
export interface AxisTap {
  /** Index in the kernel. */
  readonly index: number;
  readonly phase: number;
  readonly shift: number;
}

/** How outputs along one axis read a padded copy of the input: output t of a tap reads element t + shift of its phase. */
export interface Axis extends Pick<WindowAxis, "start" | "outputs"> {
  /** The input is dealt out to this many phases, so that reads stay adjacent: element i of phase p is position i·phases + p − before. */
  readonly phases: number;
  /** Zeros before the input; negative when its first elements are not read. */
  readonly before: number;
  /** Elements of each phase. */
  readonly length: number;
  /** By ascending index. */
  readonly taps: readonly AxisTap[];
}

/** Axes that go through the input in steps of one length, on one padded copy that serves all of them. */
function paddedAxes(windows: readonly WindowAxis[]): Axis[] {
  const phases = windows[0]?.step ?? 1;
  const reads = ({ base, taps, tapStep }: WindowAxis) => Array.from({ length: taps }, (_, j) => base + j * tapStep);
  const first = Math.min(...windows.flatMap(reads));
  const before = Number.isFinite(first) ? 0 - first : 0;
  const axes = windows.map((window) => {
    const taps = reads(window).map((read, j) => ({
      index: window.firstTap + j * window.tapIndexStep,
      phase: (read + before) % phases,
      shift: Math.floor((read + before) / phases),
    }));
    return { start: window.start, outputs: window.outputs, taps: taps.sort((a, b) => a.index - b.index) };
  });
  const length = Math.max(1, ...axes.flatMap(({ outputs, taps }) => taps.map(({ shift }) => outputs + shift)));
  return axes.map((axis) => ({ ...axis, phases, before, length }));
}

/** How a convolution's output reads its input along one axis. */
export const forwardAxis = (attrs: Conv2dAttrs, of: { side: Side; kernel: number; outputs: number }): Axis =>
  paddedAxes([windowAxis(attrs, of)])[0]!;

/** How the input's gradient reads dy along one axis, one entry per residue of the position modulo the stride. */
export const inputGradAxes = (attrs: Conv2dInputGradAttrs, of: { side: Side; kernel: number }): Axis[] =>
  paddedAxes(gradWindows(attrs, of));

/** Where a plane's padded copy puts its elements, in bytes. */
export interface PlaneLayout {
  readonly row: number;
  readonly phase: number;
  /** All phases of a plane. */
  readonly plane: number;
}

const LINE = 64;

/** Phases follow each other by row phase, then column phase. Planes are an odd number of cache lines: no two collide. */
export function planeLayout([y, x]: readonly [Axis, Axis]): PlaneLayout {
  const row = x.length * 4;
  const phase = y.length * row;
  const lines = Math.ceil((phase * y.phases * x.phases) / LINE);
  return { row, phase, plane: (lines + 1 - (lines % 2)) * LINE };
}

/** Byte offsets of the taps from an output's place in a plane, kernel rows first. */
export function tapOffsets([y, x]: readonly [Axis, Axis], layout: PlaneLayout): number[] {
  return y.taps.flatMap((ty) =>
    x.taps.map((tx) => (ty.phase * x.phases + tx.phase) * layout.phase + ty.shift * layout.row + tx.shift * 4),
  );
}
