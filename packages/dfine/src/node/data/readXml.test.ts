import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readXml } from "./readXml.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-xml-"));
});
afterAll(() => rm(folder, { recursive: true }));

const declared = (encoding: string) => `<?xml version="1.0" encoding="${encoding}"?><name>café</name>`;

test.each<[string, Buffer]>([
  ["no declaration", Buffer.from("<name>café</name>")],
  ["UTF-8", Buffer.from(declared("UTF-8"))],
  ["ISO-8859-1", Buffer.from(declared("ISO-8859-1"), "latin1")],
  ["windows-1252", Buffer.from(declared("windows-1252"), "latin1")],
  ["UTF-16 with its mark", Buffer.from(`\uFEFF${declared("UTF-16")}`, "utf16le")],
  ["UTF-16 declared of UTF-8", Buffer.from(declared("utf-16"))],
])("XML with %s is read as it is written", async (_, bytes) => {
  const file = join(folder, "a.xml");
  await writeFile(file, bytes);
  expect(await readXml(file)).toContain("<name>café</name>");
});

test("an encoding that is not known is told", async () => {
  const file = join(folder, "b.xml");
  await writeFile(file, declared("x-none"));
  await expect(readXml(file)).rejects.toThrow(
    /b\.xml: is in the encoding x-none, which is not read here\. Save it as UTF-8\./,
  );
});
