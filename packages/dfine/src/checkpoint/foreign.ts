// biome-ignore-all lint/suspicious/noControlCharactersInRegex: the first bytes of files are such characters.
import { type FileKind, fileKind } from "../fileKind.ts";

const SAVE_AGAIN = 'it with a newer one: torch.save(torch.load("old.pth", map_location="cpu"), "new.pth")';

/** Files that people give instead of weights, and what to say. */
const FOREIGN: readonly FileKind<[advice: string]>[] = [
  [/^\x80\x02/, `is of PyTorch before 1.6 (a pickle without a zip archive); load and save ${SAVE_AGAIN}`],
  [/^\x80/, "is a pickle without PyTorch's archive around it; save weights with torch.save or safetensors"],
  [/^.{257}ustar/s, `is a tar archive, as PyTorch 0.1 wrote them; load and save ${SAVE_AGAIN}, or unpack it`],
  [/^\x89HDF/, "is an HDF5 file (Keras); there is no D-FINE in that format"],
  [/^GGUF/, "is a GGUF file; there is no D-FINE in that format"],
  [/^.{4}TFL3/s, "is a TensorFlow Lite file; give the .pth or safetensors file that it was made from"],
  [/^\x1f\x8b/, "is compressed with gzip; unpack it"],
  [/^version https:\/\/git-lfs/, "is a pointer of Git LFS, not the file itself; fetch it with: git lfs pull"],
  [/^\s*</, "is a web page: the download went wrong; fetch the file itself"],
  [/^\s*\{/, "is JSON, not weights; give the .pth or safetensors file beside it"],
  [/^(\x89PNG|\xff\xd8\xff)/, "is an image, not weights"],
  // The first field of an ONNX model, its version.
  [/^\x08/, "looks like an ONNX model; give the .pth or safetensors file that it was made from"],
];

/** What a file that is no weights seems to be, and what to do; undefined where nothing is known about it. */
export function foreignAdvice(bytes: Uint8Array): string | undefined {
  return fileKind(FOREIGN, bytes)?.[1];
}
