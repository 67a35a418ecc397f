import { describe, expect, it } from "vitest";
import { withNaps } from "./naps.node.ts";

const later = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

describe("withNaps", () => {
  it("hands on results and errors", async () => {
    expect(await withNaps(later(5).then(() => "done"))).toBe("done");
    expect(await withNaps(Promise.resolve(3))).toBe(3);
    await expect(withNaps(later(5).then(() => Promise.reject(new Error("lost"))))).rejects.toThrow("lost");
  });

  it("lets the event loop do other work meanwhile", async () => {
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    await Promise.all(Array.from({ length: 100 }, () => withNaps(later(200))));
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(10);
  });

  it("leaves the event loop few turns to take", async () => {
    let turns = 0;
    let isOver = false;
    const ask = (): void => {
      turns++;
      if (!isOver) setImmediate(ask);
    };
    ask();
    await withNaps(later(300));
    isOver = true;
    expect(turns).toBeLessThan(3000);
  });
});
