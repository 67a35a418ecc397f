import { isDeepStrictEqual } from "node:util";
import { Command } from "commander";
import { valuesIn } from "../../checkpoint/identify.ts";
import { onPaper } from "../../checkpoint/onPaper.ts";
import { type Checkpoint, identifyCheckpoint, type RawCheckpoint, readCheckpoint } from "../../checkpoint/open.ts";
import { PRESET_NAMES, type PresetName } from "../../config/config.ts";
import { presetConfig } from "../../config/presets.ts";
import { resolveConfig } from "../../config/resolve.ts";
import { stringify } from "../../config/yaml.ts";
import { resolveDevice } from "../../device.ts";
import { ARCHITECTURES } from "../../model/architectures.ts";
import { environment, packageVersion } from "../environment.ts";
import { readWeights } from "../files.ts";
import { EXIT, UsageError } from "./exit.ts";
import { shownDownload } from "./openDetector.ts";
import * as options from "./options.ts";
import { completeOverrides } from "./overrides.ts";
import { Terminal, type TerminalOptions } from "./terminal.ts";

interface InfoValues extends TerminalOptions {
  readonly model?: PresetName;
  readonly weights?: string;
  readonly ema: boolean;
}

export function infoCommand(finish: (code: number) => void): Command {
  const command = new Command("info")
    .description("show what a weights file holds, or the configuration of a preset")
    .argument("[file-or-overrides...]", "a weights file or folder; or configuration keys as key=value, as for train");
  options.addTo(command, [
    options.model("model size (default: n)"),
    options.weights("the weights file, in another way"),
    options.ema(),
    ...options.talk(),
  ]);
  return command.action(async (given: string[], values: InfoValues) => finish(await info(given, values)));
}

async function info(given: readonly string[], values: InfoValues): Promise<number> {
  const terminal = new Terminal(values);
  const overrides = given.filter((text) => text.includes("="));
  const files = given.filter((text) => !text.includes("="));
  if (values.weights !== undefined) files.push(values.weights);
  if (files.length > 1) throw new UsageError(`info shows one file at a time, not ${files.join(", ")}`);
  const [file] = files;
  if (file === undefined) return await configInfo(terminal, values.model ?? "n", overrides);
  if (overrides.length > 0 || values.model !== undefined)
    throw new UsageError(
      `info shows either a file or a configuration; leave out ${file} or ${overrides.join(" ") || "--model"}`,
    );
  return await weightsInfo(file, { terminal, ema: values.ema });
}

async function configInfo(terminal: Terminal, preset: PresetName, overrides: readonly string[]): Promise<number> {
  const config = resolveConfig({ preset }, completeOverrides(overrides, { preset }));
  using device = await resolveDevice("cpu");
  const here = environment(device.backend);
  terminal.data({ version: packageVersion(), presets: PRESET_NAMES, environment: here, config });
  terminal.say(`# dfine ${packageVersion()} on ${here.backend}; presets: ${PRESET_NAMES.join(", ")}`);
  terminal.say(stringify(config).trimEnd());
  return EXIT.ok;
}

async function weightsInfo(place: string, options: { terminal: Terminal; ema: boolean }): Promise<number> {
  const { terminal, ema } = options;
  const { bytes, ...about } = await readWeights(place, shownDownload(terminal));
  const raw = readCheckpoint(bytes, { ...about, ...(ema ? {} : { ema }) });
  const facts = { ...fileFacts(raw), ...modelFacts(identifyCheckpoint(raw, about)) };
  terminal.data(facts);
  const { size, classes, format, changed, ...rest } = facts;
  const preset = changed.length > 0 ? `${rest.preset}, but for ${changed.join(", ")}` : rest.preset;
  const shown = { ...rest, preset, format: FORMATS[format], size: size.join("x"), classes: classes.join(", ") };
  terminal.say(stringify(shown).trimEnd());
  return EXIT.ok;
}

const FORMATS: Record<RawCheckpoint["format"], string> = {
  dfine: "safetensors of dfine",
  pth: "PyTorch checkpoint (.pth)",
  huggingface: "safetensors with Hugging Face's names",
  safetensors: "safetensors with the official names",
};

function fileFacts({ file, format, entries, chosen, sets, training }: RawCheckpoint) {
  return {
    ...{ file, format, tensors: entries.size },
    ema: sets.includes("ema"),
    weights: chosen,
    sets,
    ...training,
  };
}

function modelFacts({ preset, model, entries, classNamesFrom, threshold }: Checkpoint) {
  const { classes, evalSize } = model;
  const { backbone, queries, tokens } = ARCHITECTURES.plan(model).facts();
  const usual = { ...presetConfig(preset).model, classes, evalSize };
  const changed = Object.entries(usual).flatMap(([key, value]) =>
    isDeepStrictEqual(model[key as keyof typeof usual], value) ? [] : [key],
  );
  return {
    /** Parts of the model that are not the preset's. */
    ...{ preset, changed, backbone, classes, classNamesFrom, size: evalSize },
    values: valuesIn(entries),
    parameters: onPaper(model, (detector) => detector.parameterCount()),
    ...{ queries, tokens },
    /** The best of an evaluation, where the file tells it. */
    ...(threshold === undefined ? {} : { threshold }),
  };
}
