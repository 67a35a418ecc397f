import { BackendError } from "@dfine/tensor";
import { describe, expect, it, vi } from "vitest";
import { Heap } from "../memory/heap.ts";
import { BOARD } from "./board.ts";
import type { SpawnOptions } from "./spawn.ts";
import { Team } from "./team.ts";

const heap = () => new Heap({ shared: true, limitBytes: 2 ** 24 });
const terminate = () => {};

describe("ready", () => {
  it("resolves once all workers run, however often it is asked", async () => {
    const memory = heap();
    const team = new Team(memory, { threads: 3, own: 0, deadlineMilliseconds: 20_000 });
    const board = new Int32Array(memory.memory.buffer, 64);
    await Promise.all([team.ready(), team.ready()]);
    expect(board[BOARD.started]).toBe(2);
    await team.ready();
    team.dispose();
  });

  it("finds all workers asleep soon after: an idle team takes no time from others", async () => {
    const memory = heap();
    const team = new Team(memory, { threads: 3, own: 0, deadlineMilliseconds: 20_000 });
    const board = new Int32Array(memory.memory.buffer, 64);
    await team.ready();
    await vi.waitFor(() => expect(board[BOARD.sleepers]).toBe(2), 10_000);
    team.dispose();
  });

  it("says why a worker cannot start, and what to do", async () => {
    const spawn = ({ onError }: SpawnOptions) => {
      setTimeout(() => onError("forbidden by the house"), 5);
      return { terminate };
    };
    const team = new Team(heap(), { threads: 2, own: 0, deadlineMilliseconds: 20_000, spawn });
    const failure = team.ready();
    await expect(failure).rejects.toThrow(BackendError);
    await expect(failure).rejects.toThrow(
      "cpu: worker threads cannot start here: forbidden by the house; or use threads: 1",
    );
  });

  it("gives a silent worker up at the deadline", async () => {
    const team = new Team(heap(), { threads: 2, own: 0, deadlineMilliseconds: 20, spawn: () => ({ terminate }) });
    await expect(team.ready()).rejects.toThrow("it does not answer");
  });
});
