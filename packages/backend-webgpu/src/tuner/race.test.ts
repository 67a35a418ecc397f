import { describe, expect, it } from "vitest";
import { race } from "./race.ts";

/** Kernels that take so many milliseconds on an adapter, or cannot run. */
const onAdapter = (times: Readonly<Record<string, number | string>>, usual: string) => {
  const runs: Record<string, number> = {};
  const result = race({
    ...{ candidates: Object.keys(times), usual },
    time: async (name, count) => {
      runs[name] = (runs[name] ?? 0) + count;
      const taken = times[name]!;
      return typeof taken === "number" ? { milliseconds: taken } : { fault: taken };
    },
  });
  return { result, runs };
};

describe("a race", () => {
  it("ends differently on different adapters", async () => {
    const one = onAdapter({ small: 3, large: 1, usual: 2 }, "usual");
    const other = onAdapter({ small: 1, large: 3, usual: 2 }, "usual");
    expect(await one.result).toEqual({ best: "large", milliseconds: 1, usualMilliseconds: 2 });
    expect(await other.result).toEqual({ best: "small", milliseconds: 1, usualMilliseconds: 2 });
  });

  it("leaves the usual one where another gains less than noise", async () => {
    expect((await onAdapter({ other: 0.99, usual: 1 }, "usual").result)?.best).toBe("usual");
  });

  it("passes over what cannot run, and has no result where the usual one cannot", async () => {
    expect((await onAdapter({ broken: "it cannot be compiled here", usual: 1 }, "usual").result)?.best).toBe("usual");
    expect(await onAdapter({ other: 1, usual: "its sums are wrong here" }, "usual").result).toBeUndefined();
  });

  it("runs short ones often, long ones seldom, and hopeless ones once", async () => {
    const { result, runs } = onAdapter({ usual: 0.5, long: 0.8, hopeless: 100 }, "usual");
    await result;
    // Once to learn its length, then three times what takes two milliseconds.
    expect(runs.usual).toBe(1 + 3 * 4);
    expect(runs.long).toBe(1 + 3);
    expect(runs.hopeless).toBe(1);
  });

  it("does not run forever where a clock stands still", async () => {
    const { result, runs } = onAdapter({ usual: 0, other: 0 }, "usual");
    expect(await result).toEqual({ best: "usual", milliseconds: 0, usualMilliseconds: 0 });
    expect(runs.usual).toBeLessThan(200);
  });
});
