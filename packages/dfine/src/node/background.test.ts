import { expect, test } from "vitest";
import { Background } from "./background.ts";

/** A task that ends when it is told to. */
function held() {
  let [resolve, reject, isBegun] = [() => {}, (_: Error) => {}, false];
  const promise = new Promise<void>((good, bad) => {
    [resolve, reject] = [good, bad];
  });
  const write = () => {
    isBegun = true;
    return promise;
  };
  return { write, resolve, reject, isBegun: () => isBegun };
}
const turn = () => new Promise((resolve) => setImmediate(resolve));

test("what is written holds up nobody but what is written next", async () => {
  const background = new Background();
  const [first, second] = [held(), held()];
  await background.begin(first.write);
  expect(first.isBegun()).toBe(true);
  const next = background.begin(second.write);
  await turn();
  expect(second.isBegun()).toBe(false);
  first.resolve();
  await next;
  expect(second.isBegun()).toBe(true);
  let ended = false;
  const end = background.end().then(() => (ended = true));
  await turn();
  expect(ended).toBe(false);
  second.resolve();
  await end;
});

test("what fails is said at the next call, and nothing is written after it", async () => {
  const background = new Background();
  const [first, second] = [held(), held()];
  await background.begin(first.write);
  first.reject(new Error("full"));
  await turn();
  await expect(background.begin(second.write)).rejects.toThrow("full");
  expect(second.isBegun()).toBe(false);
  await expect(background.end()).rejects.toThrow("full");
});
