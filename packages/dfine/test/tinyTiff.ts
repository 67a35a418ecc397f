/** An uncompressed TIFF of inks [height, width, 4]: cyan, magenta, yellow, black. */
export function cmykTiff({ width, height, inks }: { width: number; height: number; inks: Uint8Array }): Uint8Array {
  const [short, long] = [3, 4];
  // Tag, type, count, value; offsets follow from the number of entries.
  const entries = (data: number): readonly (readonly [number, number, number, number])[] => [
    [256, short, 1, width],
    [257, short, 1, height],
    [258, short, 4, data - 8],
    [259, short, 1, 1],
    [262, short, 1, 5],
    [273, long, 1, data],
    [277, short, 1, 4],
    [278, short, 1, height],
    [279, long, 1, inks.length],
    [284, short, 1, 1],
  ];
  const start = 8 + 2 + 12 * entries(0).length + 4 + 8;
  const out = Buffer.alloc(start + inks.length);
  out.write("II*\0", "latin1");
  out.writeUInt32LE(8, 4);
  const rows = entries(start);
  out.writeUInt16LE(rows.length, 8);
  rows.forEach(([tag, type, count, value], i) => {
    const at = 10 + 12 * i;
    out.writeUInt16LE(tag, at);
    out.writeUInt16LE(type, at + 2);
    out.writeUInt32LE(count, at + 4);
    out.writeUInt32LE(value, at + 8);
  });
  for (let i = 0; i < 4; i++) out.writeUInt16LE(8, start - 8 + 2 * i);
  out.set(inks, start);
  return out;
}
