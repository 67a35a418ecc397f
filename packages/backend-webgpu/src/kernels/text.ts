/** 0 … n − 1. */
export const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** WGSL for each of the items, one after the other. */
export const each = <T>(items: readonly T[], text: (item: T) => string): string => items.map(text).join("\n");
