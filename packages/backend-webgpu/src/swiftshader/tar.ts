import { roundUp } from "@dfine/tensor/kernel";
/** A file of an archive. */
export interface TarFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

const BLOCK = 512;

/** Regular files of an uncompressed tar archive. @throws Error when it ends before its end mark */
export function untar(archive: Uint8Array): TarFile[] {
  const text = (start: number, length: number): string =>
    new TextDecoder().decode(archive.subarray(start, start + length)).replace(/\0.*$/s, "");
  const files: TarFile[] = [];
  for (let at = 0; archive[at] !== 0; ) {
    if (at + BLOCK > archive.length)
      throw new Error("tar: the archive has no end; it was cut off or is not a tar file");
    const name = text(at, 100);
    const size = Number.parseInt(text(at + 124, 12), 8);
    const start = at + BLOCK;
    if (!(size >= 0) || start + size > archive.length)
      throw new Error(`tar: ${JSON.stringify(name)} does not fit in the archive; it was cut off or is not a tar file`);
    const type = text(at + 156, 1);
    if (type === "" || type === "0") files.push({ name, bytes: archive.subarray(start, start + size) });
    at = start + roundUp(size, BLOCK);
  }
  return files;
}
