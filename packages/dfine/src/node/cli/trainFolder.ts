import { basename, dirname, resolve } from "node:path";
import { writeFileAtomic } from "../checkpointFile.ts";
import { absoluteDataFiles, type DataFiles } from "../datasets.ts";
import { planRunFolder, type RunFolder } from "../runFolder.ts";

/** What makes the folder of a training run, and records where its data lies. @throws RunFolderError where none can be made */
export async function planTrainFolder(out: string, name: string): Promise<(data: DataFiles) => Promise<RunFolder>> {
  const make = await planRunFolder(out, "train", name);
  return async (data) => {
    const run = await make();
    await writeFileAtomic(run.data, `${JSON.stringify(absoluteDataFiles(data), null, 2)}\n`);
    return run;
  };
}

/** The data set's folder names the run, as people look for it. */
export function defaultName(files: DataFiles): string {
  const path = resolve("data" in files ? files.data : (files.train?.images ?? "run"));
  const isFolder = "data" in files && !/\.(ya?ml|json)$/i.test(path);
  const name = basename(isFolder ? path : dirname(path)).replace(/[^\p{L}\p{N}._-]+/gu, "-");
  return /[\p{L}\p{N}]/u.test(name) ? name : "run";
}
