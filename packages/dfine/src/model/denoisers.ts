import { contrastive } from "./denoising.ts";
import { partTable } from "./parts.ts";

/** Ways of making noisy copies of the targets: D-FINE's. */
export const DENOISERS = partTable({ contrastive }, "contrastive");
