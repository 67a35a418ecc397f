/**
 * Ink amounts [N, 4] (cyan, magenta, yellow, black; 255 is full ink) as RGB [N, 3], by the plain rule that Pillow's
 * `convert("RGB")` uses, without colour profiles: what black ink leaves of each channel, less its own ink's share.
 */
export function cmykToRgb(inks: Uint8Array): Uint8Array {
  const pixels = inks.length / 4;
  const rgb = new Uint8Array(3 * pixels);
  for (let i = 0; i < pixels; i++) {
    const left = 255 - inks[4 * i + 3]!;
    for (let c = 0; c < 3; c++) rgb[3 * i + c] = left - Math.round((inks[4 * i + c]! * left) / 255);
  }
  return rgb;
}
