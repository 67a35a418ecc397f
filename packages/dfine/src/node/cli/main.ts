import { Command } from "commander";
import { packageVersion } from "../environment.ts";
import { convertCommand } from "./convert.ts";
import { demoCommand } from "./demo.ts";
import { EXIT, explain } from "./exit.ts";
import { exportCommand } from "./export.ts";
import { infoCommand } from "./info.ts";
import { predictCommand } from "./predict.ts";
import { trainCommand } from "./train.ts";
import { valCommand } from "./val.ts";

const COMMANDS = [trainCommand, valCommand, predictCommand, exportCommand, infoCommand, convertCommand, demoCommand];

/** Runs the `dfine` command with its arguments and gives its exit code: 0 ok, 1 failure, 2 usage, 130 interrupted. */
export async function main(argv: readonly string[]): Promise<number> {
  let code: number = EXIT.ok;
  const program = new Command("dfine")
    .description("D-FINE object detection: train, evaluate and predict")
    .version(packageVersion())
    .showSuggestionAfterError()
    .exitOverride();
  for (const make of COMMANDS) {
    const command = make((result) => {
      code = result;
    });
    program.addCommand(command.exitOverride().showHelpAfterError("(--help shows the options)"));
  }
  try {
    await program.parseAsync(argv, { from: "user" });
    return code;
  } catch (error) {
    const { code: failed, message } = explain(error);
    if (message !== "") process.stderr.write(`error: ${message}\n`);
    return failed;
  }
}
