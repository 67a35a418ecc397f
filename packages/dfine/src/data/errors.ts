/** An annotation or data file holds something that must be mended there. The message names the file, the place, the fact and the remedy. */
export class DatasetError extends Error {
  override readonly name: string = "DatasetError";
  readonly file: string;

  constructor(file: string, problem: string, remedy: string) {
    super(`${file}: ${problem}. ${remedy}`);
    this.file = file;
  }
}

/** An image file is missing, damaged, too large, of an unknown kind, or lies where it must not. */
export class ImageError extends Error {
  override readonly name = "ImageError";
  readonly path: string;

  constructor(path: string, problem: string, remedy: string) {
    super(`${path}: ${problem}. ${remedy}`);
    this.path = path;
  }
}
