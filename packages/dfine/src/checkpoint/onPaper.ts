import { type MetaOptions, metaBackend, withBackend } from "@dfine/tensor";
import { buildDetector, type ModelConfig } from "../model/architectures.ts";
import type { Detector } from "../model/detector.ts";

/**
 * Looks at a detector that is made of shapes alone, in no time and without memory.
 * @throws OutOfMemoryError where it is larger than `limits`
 */
export function onPaper<T>(config: ModelConfig, look: (detector: Detector) => T, limits: MetaOptions = {}): T {
  const { seen } = withBackend(metaBackend(limits), () => {
    using detector = buildDetector(config);
    return { seen: look(detector) };
  });
  return seen;
}
