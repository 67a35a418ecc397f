/**
 * Names of D-FINE in Hugging Face's transformers beside the official ones. <i> stands for a number, <leaf> for a name
 * without dots, <path> for any rest, <a|b> for one of these texts; they stand in the same order on both sides, so that the
 * table reads both ways.
 */
const NAMES: readonly (readonly [official: string, huggingFace: string])[] = [
  ["backbone.stem.<path>.conv.<leaf>", "model.backbone.model.embedder.<path>.convolution.<leaf>"],
  ["backbone.stem.<path>.bn.<leaf>", "model.backbone.model.embedder.<path>.normalization.<leaf>"],
  ["backbone.stem.<path>.lab.<leaf>", "model.backbone.model.embedder.<path>.lab.<leaf>"],
  ["backbone.stages.<path>.conv.<leaf>", "model.backbone.model.encoder.stages.<path>.convolution.<leaf>"],
  ["backbone.stages.<path>.bn.<leaf>", "model.backbone.model.encoder.stages.<path>.normalization.<leaf>"],
  ["backbone.stages.<path>.lab.<leaf>", "model.backbone.model.encoder.stages.<path>.lab.<leaf>"],
  ["<encoder|decoder>.input_proj.<i>.conv.<leaf>", "model.<encoder|decoder>_input_proj.<i>.0.<leaf>"],
  ["<encoder|decoder>.input_proj.<i>.norm.<leaf>", "model.<encoder|decoder>_input_proj.<i>.1.<leaf>"],
  ["encoder.encoder.<i>.layers.<i>.linear<1|2>.<leaf>", "model.encoder.encoder.<i>.layers.<i>.fc<1|2>.<leaf>"],
  ["encoder.encoder.<i>.layers.<i>.norm1.<leaf>", "model.encoder.encoder.<i>.layers.<i>.self_attn_layer_norm.<leaf>"],
  ["encoder.encoder.<i>.layers.<i>.norm2.<leaf>", "model.encoder.encoder.<i>.layers.<i>.final_layer_norm.<leaf>"],
  ["encoder.encoder.<i>.layers.<i>.self_attn.<path>", "model.encoder.encoder.<i>.layers.<i>.self_attn.<path>"],
  ["encoder.lateral_convs.<path>", "model.encoder.lateral_convs.<path>"],
  ["encoder.<fpn|pan>_blocks.<i>.cv<1|4>.<path>", "model.encoder.<fpn|pan>_blocks.<i>.conv<1|4>.<path>"],
  ["encoder.<fpn|pan>_blocks.<i>.cv2.0.<path>", "model.encoder.<fpn|pan>_blocks.<i>.csp_rep1.<path>"],
  ["encoder.<fpn|pan>_blocks.<i>.cv3.0.<path>", "model.encoder.<fpn|pan>_blocks.<i>.csp_rep2.<path>"],
  ["encoder.<fpn|pan>_blocks.<i>.cv<2|3>.1.<path>", "model.encoder.<fpn|pan>_blocks.<i>.conv<2|3>.<path>"],
  ["encoder.downsample_convs.<i>.0.cv<i>.<path>", "model.encoder.downsample_convs.<i>.conv<i>.<path>"],
  ["decoder.<up|reg_scale>", "model.decoder.<up|reg_scale>"],
  ["decoder.decoder.layers.<i>.<self_attn|gateway>.<path>", "model.decoder.layers.<i>.<self_attn|gateway>.<path>"],
  ["decoder.decoder.layers.<i>.cross_attn.<path>", "model.decoder.layers.<i>.encoder_attn.<path>"],
  ["decoder.decoder.layers.<i>.norm1.<leaf>", "model.decoder.layers.<i>.self_attn_layer_norm.<leaf>"],
  ["decoder.decoder.layers.<i>.norm3.<leaf>", "model.decoder.layers.<i>.final_layer_norm.<leaf>"],
  ["decoder.decoder.layers.<i>.linear<1|2>.<leaf>", "model.decoder.layers.<i>.fc<1|2>.<leaf>"],
  ["decoder.decoder.lqe_layers.<path>", "model.decoder.lqe_layers.<path>"],
  ["decoder.<query_pos|pre_bbox>_head.<path>", "model.decoder.<query_pos|pre_bbox>_head.<path>"],
  ["decoder.dec_score_head.<i>.<leaf>", "model.decoder.class_embed.<i>.<leaf>"],
  ["decoder.dec_bbox_head.<i>.<path>", "model.decoder.bbox_embed.<i>.<path>"],
  ["decoder.<denoising_class_embed|enc_score_head>.<leaf>", "model.<denoising_class_embed|enc_score_head>.<leaf>"],
  ["decoder.enc_output.proj.<leaf>", "model.enc_output.0.<leaf>"],
  ["decoder.enc_output.norm.<leaf>", "model.enc_output.1.<leaf>"],
  ["decoder.enc_bbox_head.<path>", "model.enc_bbox_head.<path>"],
];

/** What Hugging Face's names have become since the files on its hub were written, and the second copy of tied heads. */
const GENERATIONS: readonly (readonly [pattern: RegExp, older: string])[] = [
  [/^(class_embed|bbox_embed)\./, "model.decoder.$1."],
  [/^model\.encoder\.aifi\./, "model.encoder.encoder."],
  [/\.self_attn\.o_proj\./, ".self_attn.out_proj."],
  [/(\.layers\.\d+)\.mlp\.(?:layers\.0|fc1)\./, "$1.fc1."],
  [/(\.layers\.\d+)\.mlp\.(?:layers\.1|fc2)\./, "$1.fc2."],
];

/** Official names that Hugging Face's model does not have: what it computes itself, and the second copy of shared tensors. */
const DROPPED = /^decoder\.(anchors|valid_mask|decoder\.up|decoder\.reg_scale)$/;

/** The parts of a joined projection, in the order of its rows. */
export const PROJECTIONS = ["q", "k", "v"] as const;

const PLACEHOLDERS: Readonly<Record<string, string>> = {
  "<i>": "(\\d+)",
  "<leaf>": "([^.]+)",
  "<path>": "(.+)",
};

interface Rule {
  readonly pattern: RegExp;
  readonly result: string;
}

function rule(from: string, to: string): Rule {
  const pattern = (part: string) => PLACEHOLDERS[part] ?? `(${part.slice(1, -1)})`;
  const source = from.replace(/<[\w|]+>|\./g, (part) => (part === "." ? "\\." : pattern(part)));
  let group = 0;
  return { pattern: new RegExp(`^${source}$`), result: to.replace(/<[\w|]+>/g, () => `$${++group}`) };
}

const TO_OFFICIAL = NAMES.map(([official, huggingFace]) => rule(huggingFace, official));
const FROM_OFFICIAL = NAMES.map(([official, huggingFace]) => rule(official, huggingFace));

function apply(rules: readonly Rule[], name: string): string | undefined {
  const found = rules.find(({ pattern }) => pattern.test(name));
  return found && name.replace(found.pattern, found.result);
}

export const isHuggingFaceName = (name: string): boolean => name.startsWith("model.backbone.model.");

/** The official name of a tensor, and which part of it the tensor is where that joins three; undefined for unknown names. */
export function officialName(huggingFace: string): { name: string; part?: 0 | 1 | 2 } | undefined {
  const older = GENERATIONS.reduce((name, [pattern, text]) => name.replace(pattern, text), huggingFace);
  const projection = /^(.+\.self_attn)\.([qkv])_proj\.(weight|bias)$/.exec(older);
  if (!projection) {
    const name = apply(TO_OFFICIAL, older);
    return name === undefined ? undefined : { name };
  }
  const [, module, letter, leaf] = projection;
  const name = apply(TO_OFFICIAL, `${module}.in_proj_${leaf}`);
  const part = (PROJECTIONS as readonly (string | undefined)[]).indexOf(letter) as 0 | 1 | 2;
  return name === undefined ? undefined : { name, part };
}

/** The names under which Hugging Face's model has an official tensor: none where it lacks it, three where it splits it. */
export function huggingFaceNames(official: string): readonly string[] | undefined {
  if (DROPPED.test(official)) return [];
  const name = apply(FROM_OFFICIAL, official);
  const joined = name && /^(.+)\.in_proj_(weight|bias)$/.exec(name);
  if (!joined) return name === undefined ? undefined : [name];
  return PROJECTIONS.map((letter) => `${joined[1]}.${letter}_proj.${joined[2]}`);
}
