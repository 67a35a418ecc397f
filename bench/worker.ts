import { type Reply, runJob } from "./job.ts";
import type { Job } from "./options.ts";

const reply = (message: Reply): Promise<void> => new Promise((sent) => process.send!(message, () => sent()));

// One process of the bench: takes a job, measures it, ends.
process.once("message", async (job: Job) => {
  try {
    await runJob(job, (measured) => reply({ measured }));
  } catch (error) {
    await reply({ failed: error instanceof Error ? error.message : String(error) });
  }
  // Peers leave threads behind that would keep the process.
  process.exit();
});
