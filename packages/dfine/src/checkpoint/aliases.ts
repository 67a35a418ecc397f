import type { SafetensorsEntry } from "@dfine/nn";
import { ModelFileError } from "./errors.ts";

type Entries = ReadonlyMap<string, SafetensorsEntry>;

function areSame(a: SafetensorsEntry, b: SafetensorsEntry): boolean {
  if (a.dtype !== b.dtype || a.bytes.length !== b.bytes.length) return false;
  return a.bytes.byteOffset === b.bytes.byteOffset && a.bytes.buffer === b.bytes.buffer
    ? true
    : a.bytes.every((byte, i) => byte === b.bytes[i]);
}

/**
 * A file's tensors without those that are there once more under another name.
 * @throws ModelFileError where numbers under two names of one tensor differ
 */
export function withoutAliases(
  { file, entries }: { readonly file: string; readonly entries: Entries },
  aliases: ReadonlyMap<string, string>,
): Entries {
  const kept = new Map(entries);
  for (const [alias, name] of aliases) {
    const [other, own] = [entries.get(alias), entries.get(name)];
    if (!other || !own) continue;
    if (!areSame(other, own))
      throw new ModelFileError(
        `${file}: its tensors ${name} and ${alias} are one tensor in this model, but hold different numbers: the weights are of a model without shared heads; choose a preset with heads of its own for each layer, or fetch the file again`,
      );
    kept.delete(alias);
  }
  return kept;
}
