// biome-ignore-all lint/suspicious/noControlCharactersInRegex: the first bytes of files are such characters.
import { type FileKind, fileKind } from "../fileKind.ts";

const SAVE_AGAIN = 'it with a newer one: torch.save(torch.load("old.pth", map_location="cpu"), "new.pth")';

/** Files that people give instead of weights, and what to say. */
const FOREIGN: readonly (FileKind & { readonly advice: string })[] = [
  {
    start: /^\x80\x02/,
    advice: `is of PyTorch before 1.6 (a pickle without a zip archive); load and save ${SAVE_AGAIN}`,
  },
  {
    start: /^\x80/,
    advice: "is a pickle without PyTorch's archive around it; save weights with torch.save or safetensors",
  },
  {
    start: /^.{257}ustar/s,
    advice: `is a tar archive, as PyTorch 0.1 wrote them; load and save ${SAVE_AGAIN}, or unpack it`,
  },
  { start: /^\x89HDF/, advice: "is an HDF5 file (Keras); there is no D-FINE in that format" },
  { start: /^GGUF/, advice: "is a GGUF file; there is no D-FINE in that format" },
  { start: /^.{4}TFL3/s, advice: "is a TensorFlow Lite file; give the .pth or safetensors file that it was made from" },
  { start: /^\x1f\x8b/, advice: "is compressed with gzip; unpack it" },
  {
    start: /^version https:\/\/git-lfs/,
    advice: "is a pointer of Git LFS, not the file itself; fetch it with: git lfs pull",
  },
  { start: /^\s*</, advice: "is a web page: the download went wrong; fetch the file itself" },
  { start: /^\s*\{/, advice: "is JSON, not weights; give the .pth or safetensors file beside it" },
  { start: /^(\x89PNG|\xff\xd8\xff)/, advice: "is an image, not weights" },
  // The first field of an ONNX model, its version.
  { start: /^\x08/, advice: "looks like an ONNX model; give the .pth or safetensors file that it was made from" },
];

/** What a file that is no weights seems to be, and what to do; undefined where nothing is known about it. */
export function foreignAdvice(bytes: Uint8Array): string | undefined {
  return fileKind(FOREIGN, bytes)?.advice;
}
