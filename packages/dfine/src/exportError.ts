/** A model that cannot be written in the format that was asked for. */
export class ExportError extends Error {
  override readonly name = "ExportError";
}
