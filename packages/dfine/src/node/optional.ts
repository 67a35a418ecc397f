/** A package that only some work needs is not there: it comes with dfine unless optional packages are left out. */
export class MissingPackageError extends Error {
  override readonly name = "MissingPackageError";
  readonly code = "ERR_MODULE_NOT_FOUND";
}

/**
 * Loads something of an optional package when it is first needed. `purpose` begins the message: "decoding images".
 * @throws MissingPackageError saying how to install it
 */
export async function loadOptional<T>(name: string, purpose: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    const reason = String((cause as Error).message).split("\n")[0];
    throw new MissingPackageError(
      `${purpose} needs the package ${name}, which cannot be loaded (${reason}). Install it: npm install ${name}; a bundler must leave it outside (external)`,
      { cause },
    );
  }
}

/** The library that decodes and encodes images. @throws MissingPackageError */
export async function loadSharp() {
  return (await loadOptional("sharp", "decoding and encoding images", () => import("sharp"))).default;
}
