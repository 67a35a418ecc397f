import { anonymousNames } from "../checkpoint/classNames.ts";

/** COCO's 80 class names in label order. */
export const COCO_CLASSES: readonly string[] = (
  "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,parking meter," +
  "bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,frisbee," +
  "skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass," +
  "cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch," +
  "potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink," +
  "refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush"
).split(",");

/** Ids up to 90 that COCO leaves unused. */
const UNUSED = new Set([12, 26, 29, 30, 45, 66, 68, 69, 71, 83]);

/** COCO category id of each label. */
export const COCO_CATEGORY_IDS: readonly number[] = Array.from({ length: 90 }, (_, i) => i + 1).filter(
  (id) => !UNUSED.has(id),
);

/** A name for each id from 0 to 90: what models count classes by that were not made for 80 of them. */
export const COCO_NAMES_BY_ID: readonly string[] = anonymousNames(91).map(
  (name, id) => COCO_CLASSES[COCO_CATEGORY_IDS.indexOf(id)] ?? name,
);
