import { createRequire } from "node:module";
import { join } from "node:path";

/**
 * Path of a file of a package that is installed beside this one or, since a bundle may lie anywhere, where the program runs.
 * @throws Error with code MODULE_NOT_FOUND
 */
export function packageFile(name: string): string {
  const { url } = import.meta as { readonly url?: string };
  const program = join(process.cwd(), "package.json");
  try {
    return createRequire(url ?? program).resolve(name);
  } catch {
    return createRequire(program).resolve(name);
  }
}
