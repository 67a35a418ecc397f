import { join } from "node:path";
import type { CocoJson } from "../../data/cocoJson.ts";
import { crowdHumanToCoco, type PersonBox, parseOdgt } from "../../data/crowdHuman.ts";
import { DatasetError } from "../../data/errors.ts";
import { parseImageSet } from "../../data/vocText.ts";
import { parseVocXml, vocToCoco } from "../../data/vocXml.ts";
import { readText } from "../data/readCoco.ts";
import { readXml } from "../data/readXml.ts";
import { loadSharp } from "../optional.ts";

/**
 * COCO annotations of a part of PASCAL VOC: of the images that `ImageSets/Main/SET.txt` of a folder such as
 * VOCdevkit/VOC2007 lists. File names start from its JPEGImages.
 * @throws DatasetError
 */
export async function readVoc(folder: string, set: string): Promise<CocoJson> {
  const list = join(folder, "ImageSets", "Main", `${set}.txt`);
  const names = parseImageSet(await readText(list));
  if (names.length === 0)
    throw new DatasetError(list, "lists no images", "Give another set, such as trainval or test.");
  const images = [];
  for (const name of names) {
    const file = join(folder, "Annotations", `${name}.xml`);
    const image = parseVocXml(await readXml(file), file);
    if (image.fileName === "" || image.width === 0 || image.height === 0)
      throw new DatasetError(file, "has no filename, width or height", "Give annotation files as PASCAL VOC has them.");
    images.push(image);
  }
  return vocToCoco(images);
}

/**
 * COCO annotations of CrowdHuman: of an .odgt file, with the sizes of the images in a folder.
 * @throws DatasetError also for images that are missing or cannot be read
 */
export async function readCrowdHuman(file: string, folder: string, box: PersonBox = "full"): Promise<CocoJson> {
  const images = parseOdgt(await readText(file), file);
  const sharp = await loadSharp();
  const sizes = new Map<string, { width: number; height: number }>();
  for (const { ID } of images) {
    const path = join(folder, `${ID}.jpg`);
    try {
      const { width, height } = await sharp(path).metadata();
      sizes.set(ID, { width, height });
    } catch (error) {
      throw new DatasetError(
        path,
        `cannot be read (${(error as Error).message})`,
        "Unpack all images into one folder.",
      );
    }
  }
  return crowdHumanToCoco(images, sizes, box);
}
