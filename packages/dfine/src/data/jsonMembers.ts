import { DatasetError } from "./errors.ts";
import { readJson } from "./readJson.ts";

/** A member of a list that stands at the top of a JSON object, or another value there, also an empty list (`index` undefined). */
export interface JsonMember {
  readonly key: string;
  readonly index: number | undefined;
  readonly value: unknown;
}

const CODE = { quote: 34, backslash: 92, comma: 44, colon: 58, open: 91, close: 93, begin: 123, end: 125 };

/**
 * Reads a JSON object piece by piece, giving members of its lists one after the other: files of any length. `skip` names
 * keys whose members are passed over unread. `file` names it in messages.
 * @throws DatasetError for text that is not such an object
 */
export async function* jsonMembers(
  chunks: AsyncIterable<string>,
  file: string,
  { skip = [] }: { readonly skip?: readonly string[] } = {},
): AsyncGenerator<JsonMember, void, undefined> {
  let [depth, key, held] = [0, "", ""];
  let [isText, isEscaped, isSkipped, isOver] = [false, false, false, false];
  let index: number | undefined;
  const member = (text: string): JsonMember[] => {
    if (isSkipped || (text.trim() === "" && index === undefined)) return [];
    if (text.trim() === "" && index === 0 && depth === 1) return [{ key, index: undefined, value: [] }];
    const value = readJson(text, file);
    const found = { key, index, value };
    if (index !== undefined) index++;
    return [found];
  };
  for await (const chunk of chunks) {
    let from = 0;
    const cut = (at: number) => {
      const text = held + chunk.slice(from, at);
      [held, from] = ["", at + 1];
      return text;
    };
    for (let i = 0; i < chunk.length; i++) {
      const code = chunk.charCodeAt(i);
      if (isText) {
        if (isEscaped) isEscaped = false;
        else if (code === CODE.backslash) isEscaped = true;
        else if (code === CODE.quote) isText = false;
        continue;
      }
      const isInList = index !== undefined;
      if (code === CODE.quote) isText = true;
      else if (code === CODE.begin || code === CODE.open) {
        depth++;
        if (depth === 1 && code === CODE.open)
          throw new DatasetError(file, "holds a list", "Give a JSON object with named lists.");
        if (depth === 1) cut(i);
        if (depth === 2 && code === CODE.open) {
          cut(i);
          index = 0;
        }
      } else if (code === CODE.end || code === CODE.close) {
        depth--;
        if (depth === 1 && isInList) {
          yield* member(cut(i));
          index = undefined;
        } else if (depth === 0) {
          yield* member(cut(i));
          isOver = true;
        }
      } else if (code === CODE.comma && depth === (isInList ? 2 : 1)) {
        yield* member(cut(i));
        if (!isInList) isSkipped = false;
      } else if (code === CODE.colon && depth === 1) {
        key = String(readJson(cut(i), file));
        isSkipped = skip.includes(key);
      }
    }
    // What is skipped need not be kept.
    held = isSkipped ? "" : held + chunk.slice(from);
  }
  if (!isOver || depth !== 0)
    throw new DatasetError(file, "ends before its JSON does", "Check that the file is complete, or fetch it again.");
}
