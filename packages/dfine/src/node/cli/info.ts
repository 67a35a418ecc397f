import { Command } from "commander";
import { stringify } from "yaml";
import { PRESET_NAMES, type PresetName } from "../../config/config.ts";
import { tokenCount } from "../../config/derived.ts";
import { resolveConfig } from "../../config/resolve.ts";
import { readModelFile } from "../../modelFile.ts";
import { packageVersion } from "../environment.ts";
import { readBytes, weightsPath } from "../files.ts";
import { EXIT } from "./exit.ts";
import { modelOption, talkOptions } from "./options.ts";
import { completeOverrides } from "./overrides.ts";
import { Terminal } from "./terminal.ts";

interface InfoValues {
  readonly model: PresetName;
  readonly weights?: string;
  readonly json: boolean;
  readonly quiet: boolean;
}

export function infoCommand(finish: (code: number) => void): Command {
  const command = new Command("info")
    .description("show the configuration of a preset, or what a weights file holds")
    .argument("[overrides...]", "configuration keys, as for train")
    .addOption(modelOption())
    .option("--weights <file>", "weights, or the run folder that has them");
  for (const option of talkOptions()) command.addOption(option);
  return command.action(async (overrides: string[], values: InfoValues) => finish(await info(overrides, values)));
}

async function info(overrides: readonly string[], values: InfoValues): Promise<number> {
  const terminal = new Terminal(values);
  if (values.weights !== undefined) return await weightsInfo(await weightsPath(values.weights), terminal);
  const config = resolveConfig({ preset: values.model }, completeOverrides(overrides));
  terminal.data({ version: packageVersion(), presets: PRESET_NAMES, config });
  terminal.say(`# dfine ${packageVersion()}; presets: ${PRESET_NAMES.join(", ")}\n${stringify(config).trimEnd()}`);
  return EXIT.ok;
}

async function weightsInfo(path: string, terminal: Terminal): Promise<number> {
  const { preset, model, entries } = readModelFile(await readBytes(path), path);
  const values = [...entries.values()].reduce(
    (sum, { shape }) => sum + shape.reduce((size, side) => size * side, 1),
    0,
  );
  const { classes, evalSize, decoder, backbone } = model;
  const facts = {
    file: path,
    preset,
    classes,
    size: evalSize,
    tensors: entries.size,
    values,
    queries: decoder.numQueries,
    tokens: tokenCount(backbone, evalSize),
  };
  terminal.data(facts);
  terminal.say(stringify({ ...facts, size: evalSize.join("x"), classes: classes.join(", ") }).trimEnd());
  return EXIT.ok;
}
