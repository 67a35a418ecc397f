import { main } from "./cli/main.ts";
import { watchOutput } from "./cli/output.ts";

let worst = 0;
watchOutput([process.stdout, process.stderr], (message, code) => {
  worst = code;
  process.exitCode = code;
  process.stderr.write(`error: ${message}\n`);
});
const code = await main(process.argv.slice(2));
process.exitCode = code || worst;
