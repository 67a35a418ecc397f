import { sizeOf } from "@dfine/tensor";

/** Elements of a block: sizes and strides of axes, from `offset` on. */
export interface Region {
  readonly offset: number;
  readonly sizes: readonly number[];
  readonly strides: readonly number[];
}

/** Whether two regions are known to have no element in common, such as the parts of a tensor that is put together. */
export function areApart(a: Region | undefined, b: Region | undefined): boolean {
  if (!a || !b || sizeOf(a.sizes) * sizeOf(b.sizes) === 0) return false;
  // What repeats at the same distance is apart if it is so within that.
  const repeat = longest(a);
  const [one, two] = longest(b) === repeat ? [within(a, repeat), within(b, repeat)] : [within(a), within(b)];
  return one !== undefined && two !== undefined && (one.last <= two.first || two.last <= one.first);
}

const longest = ({ sizes, strides }: Region): number =>
  strides.reduce((most, stride, axis) => (sizes[axis]! > 1 ? Math.max(most, stride) : most), 0);

/** First and one past the last element, of one period where there is one; undefined where one reaches into the next. */
function within({ offset, sizes, strides }: Region, period?: number): { first: number; last: number } | undefined {
  const reaches = strides.map((stride, axis) => (stride === period ? 0 : stride * Math.max(0, sizes[axis]! - 1)));
  const low = reaches.reduce((sum, reach) => sum + Math.min(0, reach), offset);
  const high = reaches.reduce((sum, reach) => sum + Math.max(0, reach), offset + 1);
  if (!period) return { first: low, last: high };
  const start = Math.floor(low / period) * period;
  return high - start <= period ? { first: low - start, last: high - start } : undefined;
}
