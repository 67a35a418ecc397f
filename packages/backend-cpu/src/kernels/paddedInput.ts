import type { CpuRuntime } from "../runtime.ts";
import { type Axis, type PlaneLayout, planeLayout } from "./paddedAxes.ts";
import { padPlanes } from "./planes.ts";

const BYTES = 4;
// Padded images kept in scratch at a time: what a cache holds between padding and summing.
const PADDED_BYTES = 4 * 1024 * 1024;
// A vector of four may read this far past the last padded element.
const SLACK_BYTES = 64;

type Axes = readonly [Axis, Axis];

export interface Images {
  /** Address of contiguous planes [images · channels, height, width]. */
  readonly from: number;
  readonly images: number;
  readonly channels: number;
  readonly size: readonly [number, number];
}

export interface PaddedInput extends Images {
  readonly axes: Axes;
  readonly layout: PlaneLayout;
  /** The input needs no copy: it is read where it is. */
  readonly isInPlace: boolean;
}

/**
 * How windows will read the images: where they are, if nothing is added, left out or dealt to phases, else from a copy.
 * Readers of whole vectors may only stay in place when no vector reaches past a row's end.
 */
export function paddedInput(images: Images, axes: Axes, isWithinRows: boolean): PaddedInput {
  const [height, width] = images.size;
  const fits = (axis: Axis, size: number): boolean => axis.phases === 1 && axis.before === 0 && axis.length <= size;
  const isInPlace = isWithinRows && fits(axes[0], height) && fits(axes[1], width);
  const plane = height * width * BYTES;
  const layout = isInPlace ? { row: width * BYTES, phase: plane, plane } : planeLayout(axes);
  return { ...images, axes, layout, isInPlace };
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
