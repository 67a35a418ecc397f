import type { Conv2dAttrs, Conv2dInputGradAttrs } from "@dfine/tensor";

/** One kernel position along an axis: which phase of the input it reads, and how far along. */
export interface AxisTap {
  /** Index in the kernel. */
  readonly index: number;
  readonly phase: number;
  readonly shift: number;
}

/** How outputs along one axis read the input: output t of a tap reads element t + shift of its phase. */
export interface Axis {
  /** The input is dealt out to this many phases: element i of phase p is position i·phases + p − before. */
  readonly phases: number;
  /** Zeros before the input; negative when its first elements are not read. */
  readonly before: number;
  /** Elements of each phase. */
  readonly length: number;
  readonly outputs: number;
  readonly taps: readonly AxisTap[];
}

/** Outputs of one phase of the gradient: those at `start`, `start` + stride, …. */
export interface GradAxis extends Axis {
  readonly start: number;
}

type Side = 0 | 1;

/** How a convolution's output reads its input along one axis: the stride makes phases, so that reads stay adjacent. */
export function forwardAxis(
  { stride, padding, dilation }: Conv2dAttrs,
  { side, kernel, outputs }: { side: Side; kernel: number; outputs: number },
): Axis {
  const phases = stride[side];
  const taps = Array.from({ length: kernel }, (_, index) => {
    const position = index * dilation[side];
    return { index, phase: position % phases, shift: Math.floor(position / phases) };
  });
  return { phases, before: padding[side], length: outputs + taps.at(-1)!.shift, outputs, taps };
}

/**
 * How the input's gradient reads dy along one axis, one entry per residue of the position modulo the stride: each
 * residue meets only the kernel positions that can reach it. All read the same padded dy.
 */
export function inputGradAxes(
  { stride, padding, dilation, inputSize }: Conv2dInputGradAttrs,
  { side, kernel }: { side: Side; kernel: number },
): GradAxis[] {
  const step = stride[side];
  const residues = Array.from({ length: Math.min(step, inputSize[side]) }, (_, start) => {
    const taps: AxisTap[] = [];
    for (let index = 0; index < kernel; index++) {
      const shift = (start + padding[side] - index * dilation[side]) / step;
      if (Number.isInteger(shift)) taps.push({ index, phase: 0, shift });
    }
    return { start, outputs: Math.ceil((inputSize[side] - start) / step), taps };
  });
  const before = -Math.min(...residues.flatMap(({ taps }) => taps.map((tap) => tap.shift)));
  if (!Number.isFinite(before)) return residues.map((residue) => ({ ...residue, phases: 1, before: 0, length: 1 }));
  const moved = residues.map((residue) => ({
    ...residue,
    taps: residue.taps.map((tap) => ({ ...tap, shift: tap.shift + before })),
  }));
  const length = Math.max(...moved.flatMap(({ outputs, taps }) => taps.map(({ shift }) => outputs + shift)));
  return moved.map((residue) => ({ ...residue, phases: 1, before, length }));
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
