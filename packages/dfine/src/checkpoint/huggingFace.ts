import type { SafetensorsEntry } from "@dfine/nn";
import * as z from "zod";
import { COCO_CLASSES } from "../config/cocoClasses.ts";
import { parseJson } from "../parseJson.ts";
import { ModelFileError } from "./errors.ts";
import { officialName, PROJECTIONS } from "./huggingFaceNames.ts";

/**
 * Gives tensors of Hugging Face's model their official names and joins the projections that it splits. Of tied heads
 * either copy will do.
 * @throws ModelFileError where a part of a projection is missing or does not fit
 */
export function fromHuggingFace(
  entries: ReadonlyMap<string, SafetensorsEntry>,
  file: string,
): Map<string, SafetensorsEntry> {
  const official = new Map<string, SafetensorsEntry>();
  const parts = new Map<string, (SafetensorsEntry | undefined)[]>();
  for (const [key, entry] of entries) {
    const found = officialName(key);
    // Unknown names stay, for the model to refuse with all others.
    if (!found) official.set(key, entry);
    else if (found.part === undefined) official.set(found.name, entry);
    else {
      const list = parts.get(found.name) ?? PROJECTIONS.map(() => undefined);
      list[found.part] = entry;
      parts.set(found.name, list);
    }
  }
  for (const [name, list] of parts) official.set(name, joined(name, list, file));
  return official;
}

/** Tensors under each other. */
function joined(name: string, list: readonly (SafetensorsEntry | undefined)[], file: string): SafetensorsEntry {
  const parts = list.filter((part) => part !== undefined);
  const first = parts[0]!;
  const fits = parts.every(({ dtype, shape }) => dtype === first.dtype && shape.join() === first.shape.join());
  if (parts.length !== PROJECTIONS.length || first.shape.length === 0 || !fits)
    throw new ModelFileError(
      `${file}: ${name} needs q_proj, k_proj and v_proj of one shape, but has ${parts.map((part) => `${part.name} [${part.shape}]`).join(", ")}; fetch the file again`,
    );
  const [rows, ...rest] = first.shape;
  return {
    name,
    dtype: first.dtype,
    shape: [rows! * parts.length, ...rest],
    file,
    get bytes() {
      const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.bytes.length, 0));
      let at = 0;
      for (const part of parts) {
        bytes.set(part.bytes, at);
        at += part.bytes.length;
      }
      return bytes;
    },
  };
}

const configSchema = z.looseObject({
  model_type: z.literal("d_fine"),
  id2label: z.record(z.string(), z.string()),
});

const PLACEHOLDER = /^LABEL_\d+$/;
/** Of COCO's 80 names so many are the same in all the spellings that are about. */
const COCO_ALIKE = 65;

/**
 * Class names of a config.json beside Hugging Face's weights, or undefined where it has none for this many classes.
 * COCO's classes come under the names that COCO's own annotations give them.
 */
export function huggingFaceClassNames(configJson: string, count: number): readonly string[] | undefined {
  const config = configSchema.safeParse(parseJson(configJson));
  if (!config.success) return undefined;
  const { id2label } = config.data;
  const names = Array.from({ length: count }, (_, id) => (Object.hasOwn(id2label, id) ? id2label[id] : undefined));
  if (!names.every((name) => name !== undefined && !PLACEHOLDER.test(name))) return undefined;
  const alike = COCO_CLASSES.filter((name, id) => names[id] === name).length;
  return count === COCO_CLASSES.length && alike >= COCO_ALIKE ? COCO_CLASSES : (names as string[]);
}

const side = z.int().multipleOf(32).min(32).max(4096);
const processorSchema = z.looseObject({ size: z.looseObject({ height: side, width: side }) });

/** Input size [height, width] of a preprocessor_config.json beside Hugging Face's weights; undefined where it tells none. */
export function huggingFaceSize(processorJson: string | undefined): readonly [number, number] | undefined {
  const processor = processorSchema.safeParse(parseJson(processorJson ?? ""));
  return processor.success ? [processor.data.size.height, processor.data.size.width] : undefined;
}
