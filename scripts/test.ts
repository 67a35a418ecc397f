import { parseCLI, startVitest, type TestCase, type TestModule } from "vitest/node";

/** Test files that failed outside their tests: on loading, or in a hook. */
function brokenModules(modules: readonly TestModule[]): TestModule[] {
  const failedTests = (module: TestModule) => [...module.children.allTests("failed")].length;
  return modules.filter((module) => module.state() === "failed" && failedTests(module) === 0);
}

function reason(test: TestCase): string {
  const result = test.result();
  return (result.state === "skipped" && result.note) || "no reason given";
}

const { filter, options } = parseCLI(["vitest", "run", ...process.argv.slice(2)]);
const vitest = await startVitest("test", filter, options);
const modules = vitest.state.getTestModules();
const errors = vitest.state.getUnhandledErrors();
await vitest.close();

const tests = modules.flatMap((module) => [...module.children.allTests()]);
const skipped = tests.filter((test) => test.result().state === "skipped");
const passed = tests.filter((test) => test.result().state === "passed").length;
const failed = tests.length - passed - skipped.length + brokenModules(modules).length + errors.length;

for (const test of skipped) {
  process.stdout.write(`skipped: ${test.module.relativeModuleId} > ${test.fullName}: ${reason(test)}\n`);
}
process.stdout.write(`${passed} passed, ${failed} failed, ${skipped.length} skipped\n`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
