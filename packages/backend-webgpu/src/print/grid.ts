const MOST_GROUPS = 65535;

/** Workgroups in two dimensions, where one does not take as many. */
export function grid(groups: number): [number, number, number] {
  const rows = Math.ceil(groups / MOST_GROUPS);
  return [Math.ceil(groups / rows), rows, 1];
}
