/**
 * For authors of backends: every op against the reference backend.
 * @module @dfine/tensor/testing
 */

import "../methods.ts";
import "../ops/trials.ts";

export { registeredOps } from "../ops/registry.ts";
export { assertClose, assertSame, roundingTolerance, type Tolerance } from "./compare.ts";
export { bitEquality, type Check, conformance } from "./conformance.ts";
export { type GuardedBackend, guardedBackend } from "./guardedBackend.ts";
