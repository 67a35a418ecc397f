import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { says, thrown } from "../../../test/badInput.ts";
import { tinyPng } from "../../../test/tinyPng.ts";
import { cocoDataset } from "../../data/parseCoco.ts";
import { videoFrames } from "../video/videoFrames.ts";
import { checkImages } from "./checkImages.ts";
import { decodeImage } from "./decode.ts";
import { imageSize } from "./imageFiles.ts";
import { loadData } from "./loadData.ts";
import { missingHint, pathOf, withSeparators } from "./onDisk.ts";
import { resolveInside } from "./paths.ts";
import { readCoco } from "./readCoco.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-disk-"));
  await mkdir(join(folder, "Images/deep"), { recursive: true });
  for (const name of [
    "Images/Cat.JPG",
    "Images/cafe\u0301.png",
    "Images/a b.png",
    "Images/c%20d.png",
    "Images/deep/e.png",
  ])
    await writeFile(join(folder, name), "");
});
afterAll(() => rm(folder, { recursive: true }));

const CASE = "in upper and lower case";
const UNICODE = "in how Unicode writes its accents (NFC and NFD)";
const PERCENT = "in percent-encoding (as %20 for a space)";
const SEPARATORS = "in its separators (backslashes)";

test("a link that leads nowhere is called that", async () => {
  const link = join(folder, "link.jpg");
  await symlink("nowhere.jpg", link);
  expect(await missingHint(link)).toBe(`${link} is a link to something that does not exist.`);
});

describe("a missing file is found under another spelling", () => {
  test.each([
    ["Images/cat.jpg", "Images/Cat.JPG", CASE],
    ["images/Cat.JPG", "Images/Cat.JPG", CASE],
    ["Images/caf\u00e9.png", "Images/cafe\u0301.png", UNICODE],
    ["Images/a%20b.png", "Images/a b.png", PERCENT],
    ["Images/c d.png", "Images/c%20d.png", PERCENT],
    ["Images%2Fdeep/e.png", "Images/deep/e.png", PERCENT],
    ["Images\\deep\\e.png", "Images/deep/e.png", SEPARATORS],
    ["images\\deep\\E.png", "Images/deep/e.png", `${CASE} and ${SEPARATORS}`],
    ["Images/CAF\u00c9.png", "Images/cafe\u0301.png", `${CASE} and ${UNICODE}`],
  ])("%s", async (wanted, found, differ) => {
    expect(await missingHint(join(folder, wanted))).toBe(
      `On disk it is called ${join(folder, found)}: the names differ ${differ}.`,
    );
  });

  test.each(["Images/dog.jpg", "none/Cat.JPG", "..%2F..%2Fetc", "Images/%zz.png"])("%s is nowhere", async (name) => {
    expect(await missingHint(join(folder, name))).toBeUndefined();
  });
});

test("every reader of files gives the hint", async () => {
  says("image-spelling", await thrown(() => decodeImage(join(folder, "Images/cat.jpg"))));
  says("annotations-spelling", await thrown(() => readCoco(join(folder, "images/Cat.JPG"))));
});

test("what is no file is refused, not waited for", async (context) => {
  if (process.platform === "win32") return context.skip("Windows has no named pipes in folders");
  const pipe = join(folder, "pipe.jpg");
  execFileSync("mkfifo", [pipe]);
  await symlink(pipe, join(folder, "linked.jpg"));
  says("image-pipe", await thrown(() => decodeImage(pipe)));
  await expect(decodeImage(join(folder, "linked.jpg"))).rejects.toThrow(
    "linked.jpg: cannot be read (it is a named pipe",
  );
  await expect(decodeImage("/dev/zero")).rejects.toThrow("/dev/zero: cannot be read (it is a device");
  expect(await imageSize(pipe)).toBeUndefined();
  const video = async () => {
    for await (const _ of videoFrames(pipe)) return;
  };
  await expect(video()).rejects.toThrow("pipe.jpg: is a named pipe. Give a file.");
  await mkdir(join(folder, "piped"));
  execFileSync("mkfifo", [join(folder, "piped", "train.json")]);
  await expect(loadData(join(folder, "piped"), ["train"])).rejects.toThrow("holds no data set that is recognised");
  // A shell opens one of its own for `<(cat FILE)`.
  const pixel = join(folder, "pixel.png");
  await writeFile(pixel, tinyPng({ width: 1, height: 1, colorType: 2, bitDepth: 8, samples: [1, 2, 3] }));
  const read = `import("./packages/dfine/dist/node.js").then(async ({ decodeImage }) => console.log((await decodeImage(process.argv[1])).width))`;
  const shell = `"${process.execPath}" --eval '${read}' <(cat "${pixel}")`;
  expect(`${execFileSync("bash", ["-c", shell])}`).toBe("1\n");
});

describe("names from Windows", () => {
  test("backslashes separate folders, unless a file is called so", async () => {
    expect(await withSeparators(join(folder, "Images\\deep\\e.png"))).toBe(join(folder, "Images/deep/e.png"));
    expect(await resolveInside(join(folder, "Images"), "deep\\e.png")).toMatch(/Images\/deep\/e\.png$/);
    await writeFile(join(folder, "Images/deep\\e.png"), "");
    expect(await resolveInside(join(folder, "Images"), "deep\\e.png")).toMatch(/Images\/deep\\e\.png$/);
    await rm(join(folder, "Images/deep\\e.png"));
  });
});

describe("images that a data set lists", () => {
  const check = (fileName: string) => {
    const images = [{ id: 1, file_name: fileName, width: 9, height: 9 }];
    const dataset = cocoDataset({ images, annotations: [], categories: [{ id: 0, name: "a" }] }, "some.json");
    return checkImages({ dataset, imageRoot: join(folder, "Images") });
  };

  test("are found with backslashes: [image-backslashes]", async () => {
    await expect(check("deep\\e.png")).resolves.toBeUndefined();
  });

  test("are named as they are called on disk", async () => {
    says("images-case", await thrown(() => check("cat.jpg")));
    says("images-unicode", await thrown(() => check("caf\u00e9.png")));
    says("images-percent", await thrown(() => check("a%20b.png")));
  });
});

test("an address of a file is its path; one that names nothing here stays as it is, to be said to be missing", () => {
  expect(pathOf("FILE:///tmp/a%20b.png")).toBe("/tmp/a b.png");
  for (const place of ["file://host/a.png", "file:///a%2Fb.png", "a.png"]) expect(pathOf(place)).toBe(place);
});
