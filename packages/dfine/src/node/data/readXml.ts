import { DatasetError } from "../../data/errors.ts";
import { readWhole } from "./onDisk.ts";

/** Letters at the start of a file that tell its encoding. */
const DECLARATION = 200;

/** Reads an XML file in the encoding that its first bytes or its declaration name, else UTF-8. @throws DatasetError */
export async function readXml(path: string): Promise<string> {
  const refuse = (problem: string, remedy: string) => new DatasetError(path, problem, remedy);
  const bytes = await readWhole(path, refuse);
  const [first, second] = bytes;
  if (first === 0xff && second === 0xfe) return new TextDecoder("utf-16le").decode(bytes);
  if (first === 0xfe && second === 0xff) return new TextDecoder("utf-16be").decode(bytes);
  const start = bytes.subarray(0, DECLARATION).toString("latin1");
  const [, encoding = "utf-8"] =
    /^(?:\u00EF\u00BB\u00BF)?<\?xml[^>]*\sencoding\s*=\s*["']([\w.:-]+)["']/.exec(start) ?? [];
  try {
    // Bytes that can be read say no more of UTF-16 than that it was so in memory.
    return new TextDecoder(/^utf-?16/i.test(encoding) ? "utf-8" : encoding).decode(bytes);
  } catch {
    throw refuse(`is in the encoding ${encoding}, which is not read here`, "Save it as UTF-8.");
  }
}
