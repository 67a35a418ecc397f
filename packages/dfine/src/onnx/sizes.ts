import { ExportError } from "../exportError.ts";

/** A number as it was in every run of a trace, the first one's first. */
export type Size = readonly number[];

/** What a call was told in every run: data alike, but for its numbers. */
export type Sized<T> = T extends number ? Size : T extends object ? { readonly [Key in keyof T]: Sized<T[Key]> } : T;

export const isFixed = (size: Size): boolean => size.every((n) => Object.is(n, size[0]));
export const isSame = (a: Size, b: Size | undefined): boolean => b !== undefined && a.every((n, i) => n === b[i]);
export const times = (a: Size, b: Size): Size => a.map((n, i) => n * b[i]!);

/** A number that is the same in every run. @throws ExportError */
export function fixed(size: Size): number {
  if (!isFixed(size))
    throw new ExportError(`onnx: a number that must not depend on the images' sizes was ${size.join(", ")}`);
  return size[0]!;
}

/** Data of every run as one. @throws ExportError where they differ in more than numbers */
export function together<T>(parts: readonly T[]): Sized<T> {
  const [first] = parts;
  if (typeof first === "number") return parts as unknown as Sized<T>;
  if (Array.isArray(first)) {
    const lists = parts as readonly (readonly unknown[])[];
    if (lists.some(({ length }) => length !== first.length)) throw unlike();
    return first.map((_, i) => together(lists.map((list) => list[i]))) as Sized<T>;
  }
  if (first !== null && typeof first === "object")
    return Object.fromEntries(
      Object.keys(first).map((key) => [key, together(parts.map((part) => part[key as keyof T]))]),
    ) as Sized<T>;
  if (parts.some((part) => part !== first)) throw unlike();
  return first as Sized<T>;
}

export const unlike = () =>
  new ExportError("onnx: the model computes otherwise for other sizes of its images; export it for one size");

/** How a size follows from those of the images: `start` · Π (axis / its first size) ^ power. */
export interface Growth {
  readonly start: number;
  readonly powers: readonly number[];
}

/**
 * Finds a size's growth. `axes` are the sizes that vary, of which run i + 1 changes the i-th alone.
 * @throws ExportError where it does not grow like a product of them
 */
export function growthOf(size: Size, axes: readonly Size[]): Growth {
  const start = size[0]!;
  const powers = axes.map((axis, i) => {
    const [before, after] = [axis[0]!, axis[i + 1]!];
    const power = Math.round(Math.log(size[i + 1]! / start) / Math.log(after / before));
    if (!(power >= 0) || size[i + 1]! * before ** power !== start * after ** power)
      throw new ExportError(
        `onnx: a size of ${size.join(", ")} for images of ${axis.join(", ")} is no product of theirs; export it for one size`,
      );
    return power;
  });
  return { start, powers };
}
