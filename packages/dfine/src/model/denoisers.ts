import { contrastive } from "./denoising.ts";
import { partTable } from "./parts.ts";
import { dino, dn } from "./repeatedDenoising.ts";

/** Ways of making noisy copies of the targets: D-FINE's, DN-DETR's and DINO's. */
export const DENOISERS = partTable({ contrastive, dn, dino }, "contrastive");
