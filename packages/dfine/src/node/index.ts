export { writeFileAtomic } from "./checkpointFile.ts";
export { type DatasetSplit, loadDataYaml } from "./data/dataYaml.ts";
export { decodeImage } from "./data/decode.ts";
export { type Batch, createLoader, type Loader, type LoaderOptions } from "./data/loader.ts";
export { readCoco } from "./data/readCoco.ts";
export { type DigitsDataset, makeDigits } from "./demo/digits.ts";
export { DFine, type ImageLike } from "./detector.ts";
export { drawObjects, encodeImage } from "./draw.ts";
