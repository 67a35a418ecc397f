/** Longest text that a message shows of a value. */
const LONGEST = 60;
/** Lists and objects are looked into so deep, and at so many members each: what comes from outside may be huge. */
const DEEPEST = 3;
const MOST = 30;

/** A value as a message shows it: short and like JSON, whatever it is and however large or deep. */
export function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = sketch(value, DEEPEST);
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 3)}...` : text;
}

const SHOWN = 5;

/** "1 image", "2 images". */
export const counted = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`;

/** The first names of a list, and how many more there are. */
export const firstOf = (names: readonly (string | number)[], shown = SHOWN): string =>
  names.slice(0, shown).join(", ") + (names.length > shown ? `, and ${names.length - shown} more` : "");

function sketch(value: unknown, depth: number): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, LONGEST));
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value)) {
    const items = depth === 0 ? ["…"] : value.slice(0, MOST).map((item) => sketch(item, depth - 1));
    return `[${items.join(",")}]`;
  }
  const members: string[] = [];
  for (const key in value) {
    if (members.length === MOST) break;
    const inner = depth === 0 ? "…" : sketch((value as Record<string, unknown>)[key], depth - 1);
    members.push(`${JSON.stringify(key.slice(0, LONGEST))}:${inner}`);
  }
  return `{${members.join(",")}}`;
}
