import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { ConfigError } from "../src/config/config.ts";
import { resolveConfig } from "../src/config/resolve.ts";
import { parseDataYaml } from "../src/data/dataYaml.ts";
import { DatasetError } from "../src/data/errors.ts";
import { parseCoco } from "../src/data/parseCoco.ts";
import { summarizeDataset } from "../src/data/summary.ts";
import { trainingTargets } from "../src/data/targets.ts";
import { parseVocXml, vocToCoco } from "../src/data/vocXml.ts";
import { parseYoloLabels } from "../src/data/yoloText.ts";
import { parseDetections } from "../src/evaluation/detections.ts";
import { completeOverrides } from "../src/node/cli/overrides.ts";
import { parseDataFiles } from "../src/node/datasets.ts";
import { parseRunConfig } from "../src/node/runConfig.ts";
import { RunFolderError } from "../src/node/runFolder.ts";
import { parseProgress } from "../src/train/progress.ts";
import { mutatedTexts } from "./mutations.ts";

const RUNS = 21_000;
/** No text of a few hundred characters may take a reader that long; the machine may be busy with other things. */
const MILLISECONDS = 2000;

interface Reader {
  readonly texts: readonly string[];
  readonly read: (text: string) => unknown;
  /** What it throws on purpose. */
  readonly error: abstract new (
    ...args: never[]
  ) => Error;
}

const coco = {
  images: [
    { id: 1, file_name: "a.jpg", width: 100, height: 50 },
    { id: 9, file_name: "b.jpg", width: 10, height: 20 },
  ],
  categories: [
    { id: 7, name: "dog" },
    { id: 2, name: "cat" },
  ],
  annotations: [
    { id: 1, image_id: 1, category_id: 7, bbox: [10, 10, 20, 30], area: 500, iscrowd: 0 },
    { id: 2, image_id: 9, category_id: 2, bbox: [1, 2.5, 3, 40] },
    { id: 3, image_id: 1, category_id: 2, bbox: [0, 0, 100, 50], area: 5000, iscrowd: 1 },
  ],
};
const dataYaml = [
  "path: ../datasets/x\ntrain:\n  - images/one\n  - images/two\nval: val.txt\ntest: # none\nnames:\n  0: cat\n  1: 2\nkpt_shape: [17, 3]\nroboflow: { version: 1 }\n",
  "path: ../data\ntrain: { images: train, annotations: annotations/train.json }\nval:\n  images: val\n  annotations: val.json\nnames: [cat, dog]\n",
  "# comment\nval: &v { images: 'v', annotations: \"v.json\" }\ntest: *v\nnc: 2\nnames:\n  0: cat\n  1: dog\n",
];

/** All keys of a recipe, a third of them in each text: a whole one takes three times as long to read. */
const recipeInParts = [0, 1, 2].map((part) =>
  Object.fromEntries(Object.entries(resolveConfig({ preset: "s" }).train).filter((_, i) => i % 3 === part)),
);

const READERS: Record<string, Reader> = {
  "COCO annotations": {
    texts: [JSON.stringify(coco)],
    read: (text) => {
      const dataset = parseCoco(text, "fuzz");
      for (const image of dataset.images) trainingTargets(dataset, image);
      return summarizeDataset(dataset, { size: [32, 32] });
    },
    error: DatasetError,
  },
  "COCO results": {
    texts: [
      JSON.stringify([1, 2, 3].map((id) => ({ image_id: id, category_id: 1, bbox: [1, 2, 3, 4.5], score: 0.5 }))),
    ],
    read: (text) => parseDetections(text, "fuzz"),
    error: DatasetError,
  },
  "YOLO labels": {
    texts: ["0 0.5 0.5 0.25 0.1\n2 0.1 0.2 0.3 0.4\r\n", "1 0.25 0.75 0.5 0.25 0.75 0.5 1 1e-3\n"],
    read: (text) => parseYoloLabels(text, "fuzz", { classes: 3 }),
    error: DatasetError,
  },
  "annotations of PASCAL VOC": {
    texts: [
      '<?xml version="1.0"?>\n<annotation verified="yes"><filename>a &amp; b.jpg</filename><size><width>9</width><height>8</height></size><object><name>cat</name><difficult>1</difficult><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3.5</xmax><ymax>4</ymax></bndbox></object></annotation>',
      "<!DOCTYPE annotation [<!ENTITY a 'b'>]><annotation><!-- c --><object><name><![CDATA[d]]></name><part><name>e</name></part><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></object></annotation>",
    ],
    read: (text) => vocToCoco([parseVocXml(text, "fuzz")]),
    error: DatasetError,
  },
  "data.yaml": { texts: dataYaml, read: (text) => parseDataYaml(text, "fuzz"), error: DatasetError },
  "overrides of the configuration": {
    texts: [
      "train.ema.decay=0.998",
      "model.decoder.points=[3, 6]",
      "train.optimizer.groups=[{ pattern: 'a.*b', learningRate: base, weightDecay: 0 }]",
      "model.encoder={ hiddenDim: 64, heads: 8 }",
      "model.classes=[cat, dog]",
    ],
    read: (text) => resolveConfig({}, completeOverrides([text])),
    error: ConfigError,
  },
  "a run's configuration": {
    texts: [
      ...recipeInParts.map((train) => stringify({ preset: "s", train })),
      "preset: m\ntask: coco\ntrain:\n  epochs: 3\n",
    ],
    read: (text) => parseRunConfig(text, "fuzz"),
    error: RunFolderError,
  },
  "a run's data": {
    texts: [
      '{"data":"/a/data.yaml"}',
      '{"train":{"images":"/i","annotations":"/a.json"},"val":{"images":"/v","annotations":"/v"}}',
    ],
    read: (text) => parseDataFiles(text, "fuzz"),
    error: DatasetError,
  },
  "a run's progress": {
    texts: [
      JSON.stringify({
        ...{ epoch: 3, stepInEpoch: 2, step: 40, skipped: 1, skippedInARow: 0, lossCount: 2 },
        best: { value: 0.5, epoch: 2 },
        lossSums: { loss_vfl: 1.5, loss_bbox: 0.25 },
      }),
    ],
    read: (text) => {
      if (!parseProgress(text)) throw new DatasetError("fuzz", "is damaged", "");
    },
    error: DatasetError,
  },
};

/** What any object may come to have in the course of a test. */
const prototypeKeys = () => Reflect.ownKeys(Object.prototype).map(String).sort();
let keysBefore: string[] = [];
beforeEach(() => {
  keysBefore = prototypeKeys();
});
afterEach(() => expect(prototypeKeys()).toEqual(keysBefore));

describe.each(Object.entries(READERS))("%s", (_, { texts, read, error }) => {
  test("as they should be are read", () => {
    for (const text of texts) read(text);
  });

  test("changed, are read or refused with a typed error, in no time", () => {
    let [taken, refused, longest] = [0, 0, 0];
    // Most of the time would go into stacks, which nobody reads.
    const depth = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    fc.assert(
      fc.property(mutatedTexts(texts), (text) => {
        const start = performance.now();
        try {
          read(text);
          taken++;
        } catch (caught) {
          if (!(caught instanceof error)) throw caught;
          expect(caught.message.length).toBeLessThan(2000);
          refused++;
        }
        longest = Math.max(longest, performance.now() - start);
      }),
      { numRuns: RUNS },
    );
    Error.stackTraceLimit = depth;
    expect(taken + refused).toBeGreaterThanOrEqual(RUNS);
    expect(longest).toBeLessThan(MILLISECONDS);
    // Where all were refused, or all read, the changes would test nothing.
    expect(Math.min(taken, refused)).toBeGreaterThan(100);
  });
});
