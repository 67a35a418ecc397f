import { Command } from "commander";
import { packageVersion } from "../environment.ts";
import { convertCommand } from "./convert.ts";
import { demoCommand } from "./demo.ts";
import { doctorCommand } from "./doctor.ts";
import { EXIT, explain } from "./exit.ts";
import { experimentCommand } from "./experiment.ts";
import { exportCommand } from "./export.ts";
import { figureCommand } from "./figure.ts";
import { helpEnd } from "./help.ts";
import { infoCommand } from "./info.ts";
import * as options from "./options.ts";
import { predictCommand } from "./predict.ts";
import { trainCommand } from "./train.ts";
import { tuneCommand } from "./tune.ts";
import { valCommand } from "./val.ts";

const COMMANDS = [
  doctorCommand,
  trainCommand,
  valCommand,
  predictCommand,
  exportCommand,
  experimentCommand,
  figureCommand,
  infoCommand,
  convertCommand,
  demoCommand,
  tuneCommand,
];

/** The `dfine` command; `finish` is told exit codes. */
export function createProgram(finish: (code: number) => void): Command {
  const program = new Command("dfine")
    .description("D-FINE object detection: train, evaluate and predict")
    .version(packageVersion())
    .addHelpText("after", "\ndfine COMMAND --help shows its options, with examples");
  for (const make of COMMANDS) program.addCommand(make(finish));
  for (const command of program.commands) complete(command, command.name());
  return program.showSuggestionAfterError().exitOverride();
}

/** Gives a command, and those inside it, what all have: the end of their help, and answers to wrong options and choices. */
function complete(command: Command, path: string): void {
  command.exitOverride().showHelpAfterError("(--help shows the options)");
  const end = helpEnd(path);
  if (end !== undefined) command.addHelpText("after", end);
  for (const option of command.options) if (option.argChoices) option.argParser(options.oneOf(option.argChoices));
  for (const inner of command.commands) complete(inner, `${path} ${inner.name()}`);
}

/** Runs the `dfine` command with its arguments and gives its exit code: 0 ok, 1 failure, 2 usage, 130 interrupted. */
export async function main(argv: readonly string[]): Promise<number> {
  let code: number = EXIT.ok;
  const program = createProgram((result) => {
    code = result;
  });
  try {
    await program.parseAsync(argv, { from: "user" });
    return code;
  } catch (error) {
    const { code: failed, message } = explain(error);
    if (message !== "") process.stderr.write(`error: ${message}\n`);
    return failed;
  }
}
