import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { says } from "../../../test/badInput.ts";
import { PLANTS, PlantedData } from "../../../test/plantedData.ts";
import { runCommand } from "../../../test/runCommand.ts";
import { tinyTrain } from "../../../test/tinyRun.ts";
import { CHECKS } from "../../doctor/checks.ts";
import { type Diagnosis, type DoctorOptions, doctor } from "./doctor.ts";

let folder = "";
let made = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-doctor-"));
});
afterAll(() => rm(folder, { recursive: true }));

const fresh = () => join(folder, `${made++}`);
/** Of labels that are not COCO's: readParts.test.ts has them. */
const ELSEWHERE = ["boxes-pixels"];
const kinds = CHECKS.map(({ kind }) => kind).filter((kind) => !ELSEWHERE.includes(kind));
const fixable = new Set(CHECKS.flatMap(({ kind, fix }) => (fix ? [kind] : [])));

async function examine(data: PlantedData, options: DoctorOptions = {}): Promise<Diagnosis> {
  return await doctor(await data.write(fresh()), options);
}
const countsOf = ({ faults }: Pick<Diagnosis, "faults">) =>
  Object.fromEntries(faults.map(({ kind, count }) => [kind, count]));

/** Of all files of a folder. */
async function digestOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  const files = (await readdir(path, { recursive: true, withFileTypes: true })).filter((one) => one.isFile());
  for (const file of files.map(({ parentPath, name }) => join(parentPath, name)).sort())
    hash.update(file.slice(path.length)).update(await readFile(file));
  return hash.digest("hex");
}

test("there is a plant for every kind", () => {
  expect(Object.keys(PLANTS).sort()).toEqual([...kinds].sort());
  expect(new Set(kinds).size).toBe(kinds.length);
});

test("a clean data set has no faults", async () => {
  expect(countsOf(await examine(new PlantedData(12)))).toEqual({});
});

describe("a fault that is planted", () => {
  for (const kind of kinds)
    test(`${kind} is found as such, as often as it is there, and nothing else; a fix mends it`, async () => {
      const data = new PlantedData(10);
      const count = PLANTS[kind]!(data, 3);
      const path = await data.write(fresh());
      const before = await digestOf(join(path, ".."));
      const found = await doctor(path);
      expect(countsOf(found)).toEqual({ [kind]: count });
      const [fault] = found.faults;
      expect(fault!.examples).toHaveLength(Math.min(count, 5));
      expect(fault!.fixable).toBe(fixable.has(kind));
      // Nothing of such a part can be written.
      if (kind === "annotations-unreadable") return;
      const out = fresh();
      const { fixed } = await doctor(path, { fix: out });
      expect(fixed!.changes.map((change) => change.kind).slice(0, 1)).toEqual(fixable.has(kind) ? [kind] : []);
      const again = await doctor(out);
      expect(countsOf(again)).toEqual(countsOf(fixed!));
      expect(again.faults.filter((one) => one.fixable)).toEqual([]);
      expect(await digestOf(join(path, ".."))).toBe(before);
    });
});

test("numbers of faults are right, whatever their number", async () => {
  const many = kinds.filter((kind) => {
    const [one, two] = [1, 2].map((count) => PLANTS[kind]!(new PlantedData(12), count));
    return one !== two && !kind.startsWith("image-") && kind !== "leak-similar";
  });
  expect(many.length).toBeGreaterThan(10);
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...many), fc.integer({ min: 1, max: 8 }), async (kind, count) => {
      const data = new PlantedData(18);
      const planted = PLANTS[kind]!(data, count);
      expect(countsOf(await examine(data))[kind]).toBe(planted);
    }),
    { numRuns: 20 },
  );
});

/** Those that cannot be there beside others, or whose part nothing can be made of. */
const APART = new Set(["annotations-unreadable", "category-ids-shifted", "class-names-lost"]);

test("all faults together are found, and what is left after a fix trains", async () => {
  const data = new PlantedData(90);
  const together = kinds.filter((kind) => !APART.has(kind));
  for (const kind of together) PLANTS[kind]!(data, 2);
  const out = fresh();
  const { faults, fixed } = await examine(data, { fix: out });
  expect(faults.map(({ kind }) => kind).sort()).toEqual([...together].sort());
  expect(fixed!.faults.filter(({ fixable }) => fixable)).toEqual([]);
  expect(countsOf(await doctor(out))).toEqual(countsOf(fixed!));
  const { code, err } = await runCommand(
    ...tinyTrain({ data: fixed!.data, out: fresh(), name: "run" }),
    ...["--steps", "2", "--quiet", "--max-pixels", "1000000"],
  );
  expect(err).not.toContain("left out");
  expect(code).toBe(0);
});

describe("what a fix writes", () => {
  const annotations = async (out: string, part = "train") =>
    JSON.parse(await readFile(join(out, "annotations", `${part}.json`), "utf8"));

  test("boxes are those that were meant", async () => {
    for (const kind of ["boxes-fractions", "boxes-corners", "image-size"]) {
      const [clean, broken] = [new PlantedData(12), new PlantedData(12)];
      PLANTS[kind]!(broken, 3);
      const out = fresh();
      await examine(broken, { fix: out });
      for (const part of ["train", "val"] as const) {
        const boxes = (await annotations(out, part)).annotations.map(({ bbox }: { bbox: number[] }) => bbox);
        const scale = (i: number) => (kind === "image-size" && part === "train" && i < 9 ? 0.5 : 1);
        clean[part].annotations.forEach(({ bbox }, i) => {
          (bbox as number[]).forEach((side, k) => {
            expect(boxes[i][k], `${kind} ${part} ${i}`).toBeCloseTo(side * scale(i), 9);
          });
        });
      }
    }
  });

  test("objects keep their classes when categories are numbered anew", async () => {
    for (const kind of [
      "category-ids-from-one",
      "categories-differ",
      "category-ids-with-gaps",
      "category-ids-shifted",
    ]) {
      const [clean, broken] = [new PlantedData(12), new PlantedData(12)];
      PLANTS[kind]!(broken, 1);
      const out = fresh();
      await examine(broken, { fix: out });
      for (const part of ["train", "val"] as const) {
        const names = ({ categories, annotations: objects }: PlantedData["train"]) =>
          objects.map(({ category_id }) => categories.find(({ id }) => id === category_id)!.name);
        expect(names(await annotations(out, part))).toEqual(names(clean[part]));
      }
    }
  });

  test("a turned image is written as its boxes are, without EXIF", async () => {
    const data = new PlantedData(12);
    PLANTS["image-rotation"]!(data, 1);
    const [image] = data.train.images;
    Object.assign(image!, { width: 96, height: 72 });
    const out = fresh();
    const { faults } = await examine(data, { fix: out });
    expect(faults[0]!.examples[0]).toContain("96x72, as it is stored");
    expect((await doctor(out)).faults).toEqual([]);
    expect((await annotations(out)).images[0]).toMatchObject({ width: 96, height: 72 });
  });
});

describe("the command", () => {
  test("prints faults as JSON, or for people with what to do next; exit codes", async () => {
    const data = new PlantedData(12);
    PLANTS["boxes-degenerate"]!(data, 7);
    PLANTS.leak!(data, 1);
    const path = await data.write(fresh());
    const json = await runCommand("doctor", path, "--json", "--quiet");
    expect(json.code).toBe(1);
    const { faults } = JSON.parse(json.out);
    expect(faults.map(({ kind, count }: { kind: string; count: number }) => [kind, count])).toEqual([
      ["leak", 1],
      ["boxes-degenerate", 7],
    ]);
    for (const fault of faults)
      expect(fault).toMatchObject({ examples: expect.any(Array), remedy: expect.any(String) });
    const people = await runCommand("doctor", path, "--quiet");
    expect(people.out).toContain("and 2 more");
    expect(people.out).toContain(`next: dfine doctor --data ${path} --fix corrected`);
    const out = fresh();
    const fixed = await runCommand("doctor", path, "--fix", out, "--quiet");
    expect(fixed.code).toBe(0);
    expect(fixed.out).toContain("boxes-degenerate: 7 dropped");
    expect(fixed.out).toContain(`next: dfine train --data ${join(out, "data.yaml")}`);
    const clean = await runCommand("doctor", out, "--quiet");
    expect(clean.code).toBe(0);
    expect(clean.out).toContain(`no faults found\nnext: dfine train --data ${out} --overfit`);
    expect((await runCommand("doctor", path, "--fix", out, "--quiet")).err).toContain("nothing is written over");
    expect((await runCommand("doctor", "--quiet")).code).toBe(2);
    expect((await runCommand("doctor", path, "--data", path)).code).toBe(2);
  });

  test("of a folder with several annotation files it asks for one of them", async () => {
    const at = fresh();
    await mkdir(at);
    const text = JSON.stringify({ images: [], annotations: [], categories: [] });
    for (const name of ["one.json", "two.json"]) await writeFile(join(at, name), text);
    const { code, err } = await runCommand("doctor", at, "--quiet");
    expect(code).toBe(1);
    says("data-two-files", err);
  });

  test("a data.yaml or annotations that cannot be read are a fault, and a fix is refused", async () => {
    const missing = await runCommand("doctor", join(folder, "none.yaml"), "--json", "--quiet");
    expect(missing.code).toBe(1);
    expect(JSON.parse(missing.out).faults[0]).toMatchObject({ kind: "annotations-unreadable", count: 1 });
    const data = new PlantedData(12);
    PLANTS["annotations-unreadable"]!(data, 1);
    const { code, err } = await runCommand("doctor", await data.write(fresh()), "--fix", fresh(), "--quiet");
    expect(code).toBe(1);
    expect(err).toContain("val.json: is not valid JSON");
  });

  test("an abort ends it with the signal's reason", async () => {
    const controller = new AbortController();
    const seen: number[] = [];
    const options: DoctorOptions = {
      signal: controller.signal,
      onProgress: (_, done) => {
        seen.push(done);
        if (done === 3) controller.abort(new Error("enough"));
      },
    };
    await expect(examine(new PlantedData(30), options)).rejects.toThrow("enough");
    expect(seen.length).toBeLessThan(10);
  });
});
