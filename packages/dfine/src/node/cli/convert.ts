import { Command, Option } from "commander";
import type { CocoJson } from "../../data/cocoJson.ts";
import { PERSON_BOXES, type PersonBox } from "../../data/crowdHuman.ts";
import { counted, firstOf } from "../../describe.ts";
import { writeFileAtomic } from "../checkpointFile.ts";
import { readCrowdHuman, readVoc } from "../convert/cocoFiles.ts";
import { cocoText } from "../convert/cocoText.ts";
import { type ConvertDataOptions, convertData, IMAGE_MOVES } from "../convert/convertData.ts";
import { convertObjects365 } from "../convert/objects365.ts";
import { configText, readOfficialConfig } from "../convert/officialConfig.ts";
import { EXIT } from "./exit.ts";
import * as options from "./options.ts";
import { Terminal, type TerminalOptions } from "./terminal.ts";

type Finish = (code: number) => void;

/** What was made, for people and, beside the text, for programs. */
interface Made {
  readonly text: string;
  readonly [key: string]: unknown;
}

/** A subcommand with its options; `run` says what was made. */
function part<Values extends TerminalOptions>(
  name: string,
  text: string,
  more: readonly Option[],
  run: (argument: string, values: Values, terminal: Terminal) => Promise<Made>,
) {
  return (finish: Finish): Command => {
    const command = new Command(name.split(" ")[0]).description(text).argument(name.split(" ")[1]!);
    options.addTo(command, [...more, ...options.talk()]);
    return command.action(async (argument: string, values: Values) => {
      const terminal = new Terminal(values);
      const { text, ...data } = await run(argument, values, terminal);
      terminal.data(data);
      terminal.say(text);
      finish(EXIT.ok);
    });
  };
}

const out = (text: string, usual?: string) =>
  usual === undefined
    ? new Option("--out <file>", text).makeOptionMandatory()
    : new Option("--out <file>", text).default(usual);

async function writeCoco(file: string, json: CocoJson): Promise<Made> {
  await writeFileAtomic(file, cocoText(json));
  const [images, objects] = [json.images.length, json.annotations.length];
  return { file, images, objects, text: `${file}: ${counted(images, "image")}, ${counted(objects, "object")}` };
}

interface OutValues extends TerminalOptions {
  readonly out: string;
}

type DataValues = OutValues & Pick<Required<ConvertDataOptions>, "images"> & Pick<ConvertDataOptions, "valSplit">;

const dataOptions = () => [
  out("folder to write"),
  new Option("--images <how>", "copies, hard links, or left where they are (coco)")
    .choices(IMAGE_MOVES)
    .default("copy"),
  options.valSplit(),
];

async function convertTo(
  to: ConvertDataOptions["to"],
  from: string,
  { values: { out: folder, images, valSplit }, terminal }: { values: DataValues; terminal: Terminal },
): Promise<Made> {
  const onProgress = (done: number) => terminal.progress(`images · ${done}`);
  const { parts, notes } = await convertData({ from, to, out: folder, images, valSplit, onProgress });
  for (const note of notes) terminal.note(`data: ${note}`);
  const counts = Object.entries(parts).map(([name, count]) => `${name} ${count}`);
  const text = `${folder}: ${counts.join(", ")} images\nnext: dfine train --data ${folder}`;
  return { kind: "converted", to, out: folder, parts, notes, text };
}

const FORMS = "a data set (data.yaml, COCO, YOLO or PASCAL VOC, as tools export it)";

const PARTS = [
  part<DataValues>("coco <from>", `${FORMS} to COCO JSON`, dataOptions(), (from, values, terminal) =>
    convertTo("coco", from, { values, terminal }),
  ),
  part<DataValues>(
    "yolo <from>",
    `${FORMS} to YOLO labels with Ultralytics' data.yaml`,
    dataOptions(),
    (from, values, terminal) => convertTo("yolo", from, { values, terminal }),
  ),
  part<DataValues & { set: string }>(
    "voc <from>",
    `${FORMS} to PASCAL VOC; or, where --out ends in .json, a folder such as VOCdevkit/VOC2007 to COCO annotations`,
    [...dataOptions(), new Option("--set <name>", "list of images for a .json: trainval, test, …").default("trainval")],
    async (from, values, terminal) =>
      values.out.endsWith(".json")
        ? writeCoco(values.out, await readVoc(from, values.set))
        : convertTo("voc", from, { values, terminal }),
  ),
  part<OutValues & { images: string; box: PersonBox }>(
    "crowdhuman <odgt>",
    "CrowdHuman (annotation_train.odgt) to COCO annotations of one class",
    [
      new Option("--images <folder>", "its images, all in one folder").makeOptionMandatory(),
      new Option("--box <which>", "of the whole body, or of what is seen").choices(PERSON_BOXES).default("full"),
      out("annotations to write"),
    ],
    async (odgt, { images, box, out: file }) => writeCoco(file, await readCrowdHuman(odgt, images, box)),
  ),
  part<OutValues & { train: string; val: string; resize: boolean }>(
    "objects365 <images>",
    "Objects365: validation images but the first 5000 are trained on, and large images made smaller, as for the official weights",
    [
      new Option("--train <file>", "zhiyuan_objv2_train.json").makeOptionMandatory(),
      new Option("--val <file>", "zhiyuan_objv2_val.json").makeOptionMandatory(),
      new Option("--no-resize", "leave images as large as they are"),
      out("folder for train.json, val.json and data.yaml", "objects365"),
    ],
    async (images, { train, val, resize, out: folder }, terminal) => {
      const onProgress = (done: number) => terminal.progress(`preparing images · ${done}`);
      const { dropped, data } = await convertObjects365({ train, val, images, resize, out: folder, onProgress });
      const lost = dropped > 0 ? `; ${counted(dropped, "image")} could not be read and were left out` : "";
      return { data, dropped, text: `${data}${lost}\nnext: dfine train --task objects365 --data ${data}` };
    },
  ),
  part<TerminalOptions & { out?: string }>(
    "config <yaml>",
    "a configuration of the official repository, with what it includes, to one for dfine train --config",
    [new Option("--out <file>", "file to write (default: printed)")],
    async (yaml, { out: file }, terminal) => {
      const converted = await readOfficialConfig(yaml);
      const { unknown } = converted;
      if (unknown.length > 0) terminal.warn(`not understood, and left out: ${firstOf(unknown, 20)}`);
      const text = configText(converted);
      if (file === undefined) return { config: text, unknown, text: text.trimEnd() };
      await writeFileAtomic(file, text);
      return { file, unknown, text: `${file}\nnext: dfine train --config ${file} --data data.yaml` };
    },
  ),
];

export function convertCommand(finish: Finish): Command {
  const command = new Command("convert").description("turn data sets and configurations of others into those of dfine");
  for (const make of PARTS) command.addCommand(make(finish));
  return command;
}
