import type { OpProfile, Profile } from "./profiled.ts";

/** Shares and rates of an op's kernels. */
export interface OpShares {
  /** Of the whole time: its kernels' where they ran beside the host, else with its JavaScript. */
  readonly time: number;
  /** Operations or bytes in a second, whichever is nearer to its ceiling; undefined where no time is known. */
  readonly rate: string | undefined;
  /** Of the ceiling that is nearer, from 0 to 1. */
  readonly ceiling: number | undefined;
}

/** How a row of a profile relates to the whole, and to what the backend can do. */
export function sharesOf(
  { flops, bytes, milliseconds, host }: OpProfile,
  { wall, ceiling, beside }: Omit<Profile, "ops">,
): OpShares {
  const time = ((milliseconds ?? 0) + (beside && milliseconds !== undefined ? 0 : host)) / wall;
  if (!milliseconds) return { time, rate: undefined, ceiling: undefined };
  const [gflops, gbps] = [flops / milliseconds / 1e6, bytes / milliseconds / 1e6];
  const [computing, moving] = ceiling ? [gflops / ceiling.gflops, gbps / ceiling.gbps] : [gflops, gbps];
  const rate = computing > moving ? `${gflops.toFixed(1)} GFLOP/s` : `${gbps.toFixed(1)} GB/s`;
  return { time, rate, ceiling: ceiling && Math.max(computing, moving) };
}

/** Ops that take less of the whole time are shown together. */
const LEAST_SHARE = 1e-3;

const HEAD = ["calls", "kernels", "ms", "waiting", "host", "time", "rate", "of ceiling", "op and kernel"];
const WIDTHS = [7, 7, 9, 8, 8, 7, 14, 10];
const line = (cells: readonly string[]): string => cells.map((cell, i) => cell.padStart(WIDTHS[i] ?? 0)).join("  ");
const percent = (share: number | undefined): string => (share === undefined ? "" : `${(100 * share).toFixed(1)} %`);

/** What several ops have cost together. */
function together(ops: readonly OpProfile[], name: string): OpProfile {
  const add = (key: "calls" | "flops" | "bytes" | "waiting" | "host"): number =>
    ops.reduce((sum, op) => sum + op[key], 0);
  const addKnown = (key: "launches" | "milliseconds"): number | undefined =>
    ops.reduce<number | undefined>((sum = 0, op) => (op[key] === undefined ? undefined : sum + op[key]), 0);
  return {
    ...{ op: name, variant: "", launches: addKnown("launches"), milliseconds: addKnown("milliseconds") },
    ...{ calls: add("calls"), flops: add("flops"), bytes: add("bytes"), waiting: add("waiting"), host: add("host") },
  };
}

/** A profile as a table for people, in milliseconds. Of `runs` of the same work it shows the mean. */
export function profileTable(profile: Profile, runs = 1): string {
  const { ops, wall, reading, elsewhere, ceiling } = profile;
  const count = (value: number | undefined): string => (value === undefined ? "?" : String(Math.round(value / runs)));
  const time = (value: number | undefined): string => (value === undefined ? "?" : (value / runs).toFixed(2));
  const row = (op: OpProfile): string => {
    const { time: share, rate = "", ceiling: reached } = sharesOf(op, profile);
    const costs = [count(op.calls), count(op.launches), time(op.milliseconds), time(op.waiting), time(op.host)];
    return line([...costs, percent(share), rate, percent(reached), `${op.op} ${op.variant}`.trimEnd()]);
  };
  const whole = (name: string, milliseconds: number): string =>
    line(["", "", "", "", time(milliseconds), percent(milliseconds / wall), "", "", name]);
  const isSmall = (op: OpProfile): boolean => sharesOf(op, profile).time < LEAST_SHARE && op.host / wall < LEAST_SHARE;
  const small = ops.filter(isSmall);
  const table = [
    line(HEAD),
    ...ops.filter((op) => !isSmall(op)).map(row),
    ...(small.length > 0 ? [row(together(small, `${small.length} others`))] : []),
    row(together(ops, "all ops")),
    whole("waiting for results", reading),
    whole("elsewhere on the host", elsewhere),
    whole("all", wall),
  ];
  if (profile.beside) {
    const busy = ops.reduce((sum, { milliseconds = 0 }) => sum + milliseconds, 0);
    table.push(
      `the device computed in ${percent(busy / wall)} of the time, and idled in ${percent(Math.max(0, 1 - busy / wall))}`,
    );
  }
  if (ceiling)
    table.push(`ceiling: ${ceiling.gflops.toFixed(1)} GFLOP/s in a product, ${ceiling.gbps.toFixed(1)} GB/s in a copy`);
  return table.join("\n");
}
