/** Degrees between the hues of neighbouring classes: the golden angle keeps any number of them apart. */
const GOLDEN_ANGLE = 137.508;
const SATURATION = 0.85;
const LIGHTNESS = 0.55;

/** A colour for each class, 0–255. */
export function classColor(classId: number): readonly [red: number, green: number, blue: number] {
  const hue = (classId * GOLDEN_ANGLE) % 360;
  const amplitude = SATURATION * Math.min(LIGHTNESS, 1 - LIGHTNESS);
  const channel = (offset: number) => {
    const k = (offset + hue / 30) % 12;
    return Math.round(255 * (LIGHTNESS - amplitude * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [channel(0), channel(8), channel(4)];
}
