import { withoutMark } from "./byteOrderMark.ts";
import { DatasetError } from "./errors.ts";

/** What JSON.parse calls for each value; older browsers give no `context`. */
export type Reviver = (key: string, value: unknown, context?: { readonly source?: string }) => unknown;

/** The value of a JSON text, with or without a byte order mark. `file` names it in messages. @throws DatasetError */
export function readJson(text: string, file: string, reviver?: Reviver): unknown {
  try {
    return JSON.parse(withoutMark(text), reviver);
  } catch (error) {
    throw new DatasetError(
      file,
      `is not valid JSON (${error instanceof Error ? error.message : String(error)})`,
      "Check that the file is complete, or export the annotations again.",
    );
  }
}
