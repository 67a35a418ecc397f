import { ConfigError, type OptimizerConfig, type ParameterGroupConfig } from "./config.ts";

/** Parameters that the optimiser treats alike, by name. */
export interface ParameterGroup extends Omit<ParameterGroupConfig, "pattern"> {
  /** The pattern, or null for the last group: what no pattern matches. */
  readonly pattern: string | null;
  readonly names: string[];
}

/** The learning rate of a group, before the schedule. */
export function groupRate({ learningRate: rate }: Pick<ParameterGroupConfig, "learningRate">, config: OptimizerConfig) {
  if (typeof rate === "number") return rate * config.learningRate;
  return rate === "base" ? config.learningRate : config.backboneLearningRate;
}

/**
 * Sorts trainable parameters into groups by the official patterns, keeping their order. A pattern that matches nothing
 * leaves an empty group in its place; what no pattern matches forms a last group, if there is any.
 * @throws ConfigError where two patterns match the same name
 */
export function groupParameters(names: readonly string[], patterns: readonly ParameterGroupConfig[]): ParameterGroup[] {
  const owner = new Map<string, string>();
  const groups: ParameterGroup[] = patterns.map((group) => {
    const expression = new RegExp(group.pattern);
    const matched = names.filter((name) => expression.test(name));
    for (const name of matched) {
      const other = owner.get(name);
      if (other !== undefined)
        throw new ConfigError(
          `train.optimizer.groups: ${name} matches both ${other} and ${group.pattern}; make the patterns disjoint`,
        );
      owner.set(name, group.pattern);
    }
    return { ...group, names: matched };
  });
  const rest = names.filter((name) => !owner.has(name));
  if (rest.length > 0) groups.push({ pattern: null, learningRate: "base", weightDecay: "inherit", names: rest });
  return groups;
}
