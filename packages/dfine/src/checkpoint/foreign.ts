/** Files that people give instead of weights: how they begin, and what to say. */
interface Foreign {
  /** Bytes, or text. */
  readonly begins: readonly number[] | string;
  readonly at?: number;
  readonly advice: string;
}

const SAVE_AGAIN = 'it with a newer one: torch.save(torch.load("old.pth", map_location="cpu"), "new.pth")';

const FOREIGN: readonly Foreign[] = [
  {
    begins: [0x80, 0x02],
    advice: `is of PyTorch before 1.6 (a pickle without a zip archive); load and save ${SAVE_AGAIN}`,
  },
  {
    begins: [0x80],
    advice: "is a pickle without PyTorch's archive around it; save weights with torch.save or safetensors",
  },
  {
    begins: "ustar",
    at: 257,
    advice: `is a tar archive, as PyTorch 0.1 wrote them; load and save ${SAVE_AGAIN}, or unpack it`,
  },
  { begins: "\u0089HDF", advice: "is an HDF5 file (Keras); there is no D-FINE in that format" },
  { begins: "GGUF", advice: "is a GGUF file; there is no D-FINE in that format" },
  {
    begins: "TFL3",
    at: 4,
    advice: "is a TensorFlow Lite file; give the .pth or safetensors file that it was made from",
  },
  { begins: [0x1f, 0x8b], advice: "is compressed with gzip; unpack it" },
  {
    begins: "version https://git-lfs",
    advice: "is a pointer of Git LFS, not the file itself; fetch it with: git lfs pull",
  },
  { begins: "<", advice: "is a web page: the download went wrong; fetch the file itself" },
  { begins: "{", advice: "is JSON, not weights; give the .pth or safetensors file beside it" },
  { begins: [0x89, 0x50, 0x4e, 0x47], advice: "is an image, not weights" },
  { begins: [0xff, 0xd8, 0xff], advice: "is an image, not weights" },
  // The first field of an ONNX model, its version.
  { begins: [0x08], advice: "looks like an ONNX model; give the .pth or safetensors file that it was made from" },
];

const code = (begins: readonly number[] | string): number[] =>
  typeof begins === "string" ? Array.from(begins, (character) => character.charCodeAt(0)) : [...begins];

/** What a file that is no weights seems to be, and what to do; undefined where nothing is known about it. */
export function foreignAdvice(bytes: Uint8Array): string | undefined {
  const found = FOREIGN.find(({ begins, at = 0 }) => code(begins).every((byte, i) => bytes[at + i] === byte));
  return found?.advice;
}
