import { type ConvWindows, shape4 } from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import { type Axes, type PaddedAxis, type PlaneLayout, paddedAxis, planeLayout } from "./paddedAxes.ts";
import { padPlanes } from "./padPlanes.ts";

const BYTES = 4;
// Padded images kept in scratch at a time: what a core's second-level cache holds between padding and summing.
const PADDED_BYTES = 1024 * 1024;
// Two vectors of four may read this far past the last padded element.
const SLACK_BYTES = 64;

/** What windows are taken of, as they will read it. */
export interface PaddedInput {
  /** Address of contiguous planes [images · channels, height, width]. */
  readonly from: number;
  readonly images: number;
  readonly channels: number;
  readonly size: readonly [number, number];
  readonly axes: Axes;
  readonly layout: PlaneLayout;
  /** The input needs no copy: it is read where it is. */
  readonly isInPlace: boolean;
}

/**
 * How windows will read x: where it is, if nothing is added, left out or dealt to phases, else from a copy. Readers of
 * whole vectors may only stay in place when no vector reaches past a row's end.
 */
export function paddedInput(
  runtime: CpuRuntime,
  { x, axes: [rows, columns] }: Pick<ConvWindows, "x" | "axes">,
  isWithinRows = columns.every(({ outputs }) => outputs % 8 === 0),
): PaddedInput {
  const [images, channels, height, width] = shape4(x);
  const axes = [paddedAxis(rows), paddedAxis(columns)] as const;
  const fits = ({ phases, before, length }: PaddedAxis, size: number): boolean =>
    phases === 1 && before === 0 && length <= size;
  const isInPlace = isWithinRows && fits(axes[0], height) && fits(axes[1], width);
  const plane = height * width * BYTES;
  const layout = isInPlace ? { row: width * BYTES, phase: plane, plane } : planeLayout(axes);
  return { from: runtime.pointer(x), images, channels, size: [height, width], axes, layout, isInPlace };
}

export interface PaddedImages {
  readonly from: number;
  /** First image and number of images. */
  readonly first: number;
  readonly count: number;
}

/** Runs `use` on padded images: as many at a time as a cache holds, or all of them. */
export function withPadded(
  runtime: CpuRuntime,
  { input, isAtOnce = false }: { input: PaddedInput; isAtOnce?: boolean },
  use: (padded: PaddedImages) => void,
): void {
  const { from, images, channels, size, axes, layout } = input;
  if (input.isInPlace) {
    use({ from, first: 0, count: images });
    return;
  }
  const imageBytes = channels * layout.plane;
  const step = isAtOnce ? images : Math.min(images, Math.max(1, Math.floor(PADDED_BYTES / imageBytes)));
  runtime.withScratch(step * imageBytes + SLACK_BYTES, (scratch) => {
    for (let first = 0; first < images; first += step) {
      const count = Math.min(step, images - first);
      padPlanes(runtime, {
        from: from + first * channels * size[0] * size[1] * BYTES,
        to: scratch,
        planes: count * channels,
        size,
        axes,
        layout,
      });
      use({ from: scratch, first, count });
    }
  });
}
