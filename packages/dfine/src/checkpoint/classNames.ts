/** Names of classes that have none. */
export const anonymousNames = (count: number): string[] => Array.from({ length: count }, (_, id) => `class ${id}`);

/** Whether names only count the classes. */
export const areAnonymous = (names: readonly string[]): boolean => names.every((name, id) => name === `class ${id}`);
