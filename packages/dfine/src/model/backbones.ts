import { hgNetV2 } from "./hgnetv2.ts";
import { partTable } from "./parts.ts";
import { resnet50 } from "./resnet.ts";

/** Networks that turn images into maps, of any detector. */
export const BACKBONES = partTable({ hgnetv2: hgNetV2, resnet50 }, "hgnetv2");
