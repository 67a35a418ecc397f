import { readdir } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { brokenText } from "../../doctor/brokenText.ts";
import { plainest } from "../data/onDisk.ts";

/** Finds files of a folder that are named in another way than on disk. It is listed once, when first asked. */
export class FolderFiles {
  readonly #root: string;
  #files: Promise<{ byPath: Map<string, string>; byName: Map<string, string | undefined> }> | undefined;

  constructor(root: string) {
    this.#root = root;
  }

  /**
   * The path of a file inside the folder, by a name that differs in spelling, begins with folders that are not there, or
   * leaves out those that are; undefined where there is none, or several.
   */
  async find(fileName: string): Promise<string | undefined> {
    this.#files ??= this.#list();
    const { byPath, byName } = await this.#files;
    const names = [fileName, brokenText(fileName)?.mended].filter((name) => name !== undefined);
    for (const name of names) {
      const parts = name.split(/[\\/]+/).filter((part) => part !== "" && part !== ".");
      for (let from = 0; from < parts.length; from++) {
        const found = byPath.get(plainest(parts.slice(from).join("/")));
        if (found !== undefined) return found;
      }
      const found = parts.length === 1 ? byName.get(plainest(parts[0]!)) : undefined;
      if (found !== undefined) return found;
    }
    return undefined;
  }

  async #list() {
    const byPath = new Map<string, string>();
    const byName = new Map<string, string | undefined>();
    const entries = await readdir(this.#root, { recursive: true, withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      if (entry.isDirectory()) continue;
      const path = relative(this.#root, join(entry.parentPath, entry.name)).split(sep).join("/");
      const name = plainest(entry.name);
      byPath.set(plainest(path), path);
      byName.set(name, byName.has(name) ? undefined : path);
    }
    return { byPath, byName };
  }
}
