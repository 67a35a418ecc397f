import * as z from "zod";
import { parseJson } from "../parseJson.ts";
import type { CocoJson } from "./cocoJson.ts";
import { DatasetError } from "./errors.ts";

const box = z.array(z.number()).length(4);
const schema = z.object({
  ID: z.string().min(1),
  gtboxes: z
    .array(
      z.object({
        tag: z.string(),
        fbox: box,
        vbox: box.optional(),
        extra: z.object({ ignore: z.number().optional() }).optional(),
      }),
    )
    .default([]),
});

/** An image of CrowdHuman: its name without ending, and people as [x, y, width, height]. */
export type CrowdHumanImage = z.output<typeof schema>;

/** Which box of a person is taken: of the whole body, also where it is hidden, or of what can be seen. */
export const PERSON_BOXES = ["full", "visible"] as const;
/** One of `PERSON_BOXES`. */
export type PersonBox = (typeof PERSON_BOXES)[number];

/** Reads an .odgt of CrowdHuman: JSON, one image a line. `file` names it in messages. @throws DatasetError naming the line */
export function parseOdgt(text: string, file: string): CrowdHumanImage[] {
  return text.split("\n").flatMap((line, i) => {
    if (line.trim() === "") return [];
    const found = schema.safeParse(parseJson(line));
    if (found.success) return [found.data];
    const [issue] = found.error.issues;
    throw new DatasetError(
      file,
      `line ${i + 1} is no image of CrowdHuman (${issue?.path.join(".") || "the line"}: ${issue?.message})`,
      "Give annotation_train.odgt or annotation_val.odgt as it was published.",
    );
  });
}

/** COCO annotations of the same: one class, person, with id 0; what is to be ignored is a crowd. `sizes` by image ID. */
export function crowdHumanToCoco(
  images: readonly CrowdHumanImage[],
  sizes: ReadonlyMap<string, { readonly width: number; readonly height: number }>,
  which: PersonBox = "full",
): CocoJson {
  const objects = images.flatMap(({ gtboxes }, i) => gtboxes.map((object) => ({ ...object, image_id: i + 1 })));
  return {
    images: images.map(({ ID }, i) => ({ id: i + 1, file_name: `${ID}.jpg`, ...sizes.get(ID)! })),
    categories: [{ id: 0, name: "person" }],
    annotations: objects.map(({ tag, fbox, vbox, extra, image_id }, i) => {
      const bbox = which === "full" ? fbox : (vbox ?? fbox);
      const iscrowd = tag !== "person" || extra?.ignore === 1 ? 1 : 0;
      return { id: i + 1, image_id, category_id: 0, bbox, area: bbox[2]! * bbox[3]!, iscrowd };
    }),
  };
}
