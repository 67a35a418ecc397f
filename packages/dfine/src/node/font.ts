export const GLYPH_WIDTH = 5;
export const GLYPH_HEIGHT = 7;

/**
 * Letters of 5 x 7 pixels: a row is one base-32 digit, its highest bit leftmost. Machines that serve models often have
 * no font at all, and an image library then draws nothing.
 */
const GLYPHS: Readonly<Record<string, string>> = {
  " ": "0000000",
  "0": "ehjlphe",
  "1": "4c4444e",
  "2": "eh1248v",
  "3": "v2421he",
  "4": "26aiv22",
  "5": "vgu11he",
  "6": "68guhhe",
  "7": "v124888",
  "8": "ehhehhe",
  "9": "ehhf12c",
  A: "ehhvhhh",
  B: "uhhuhhu",
  C: "ehggghe",
  D: "sihhhis",
  E: "vgguggv",
  F: "vgguggg",
  G: "ehgnhhf",
  H: "hhhvhhh",
  I: "e44444e",
  J: "72222ic",
  K: "hikokih",
  L: "ggggggv",
  M: "hrllhhh",
  N: "hhpljhh",
  O: "ehhhhhe",
  P: "uhhuggg",
  Q: "ehhhlid",
  R: "uhhukih",
  S: "fgge11u",
  T: "v444444",
  U: "hhhhhhe",
  V: "hhhhha4",
  W: "hhhllla",
  X: "hha4ahh",
  Y: "hhha444",
  Z: "v1248gv",
  ".": "00000cc",
  "-": "000v000",
  _: "000000v",
  "%": "op248j3",
  ":": "0cc0cc0",
  "/": "01248g0",
  "?": "eh12404",
};

/** Whether a letter's pixel at column x, row y is set. Small letters look like capitals, unknown ones like "?". */
export function glyphPixel(letter: string, x: number, y: number): boolean {
  const rows = GLYPHS[letter] ?? GLYPHS["?"]!;
  return ((Number.parseInt(rows[y]!, 32) >> (GLYPH_WIDTH - 1 - x)) & 1) === 1;
}

/** Letters as the font has them: capitals without accents. */
export const fontLetters = (text: string): string[] => [
  ...text
    .normalize("NFD")
    .replace(/\p{Mark}/gu, "")
    .toUpperCase(),
];
