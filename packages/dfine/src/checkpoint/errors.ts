/** A file that holds no D-FINE weights this package can read, or weights that do not fit. The message names the file, the fact and the remedy. */
export class ModelFileError extends Error {
  override readonly name = "ModelFileError";
}
