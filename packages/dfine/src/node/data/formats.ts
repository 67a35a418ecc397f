import { readCocoFolder } from "./formats/coco.ts";
import { writeCoco } from "./formats/cocoWriter.ts";
import type { DataFormat } from "./formats/format.ts";
import { readOwn } from "./formats/own.ts";
import { readVocFolder } from "./formats/voc.ts";
import { writeVoc } from "./formats/vocWriter.ts";
import { readYolo } from "./formats/yolo.ts";
import { writeYolo } from "./formats/yoloWriter.ts";

/** The forms of data sets that are read and written, in the order in which a place is tried. */
export const DATA_FORMATS: readonly DataFormat[] = [
  {
    name: "dfine",
    title: "data.yaml that names COCO annotations",
    known: ["a data.yaml with train: { images: FOLDER, annotations: FILE.json }"],
    read: readOwn,
  },
  {
    name: "yolo",
    title: "YOLO labels",
    known: [
      "Ultralytics' data.yaml with names and train: FOLDER",
      "images and labels with classes.txt (Label Studio)",
      "obj.data (Darknet)",
    ],
    read: readYolo,
    write: writeYolo,
  },
  {
    name: "coco",
    title: "COCO JSON",
    known: [
      "a COCO .json with its images beside it or in images",
      "annotations/instances_….json (COCO, CVAT)",
      "train/_annotations.coco.json (Roboflow)",
    ],
    read: readCocoFolder,
    write: writeCoco,
  },
  {
    name: "voc",
    title: "PASCAL VOC",
    known: [
      "Annotations with .xml files and JPEGImages or images",
      "folders of .xml files beside their images (Roboflow)",
    ],
    read: readVocFolder,
    write: writeVoc,
  },
];
