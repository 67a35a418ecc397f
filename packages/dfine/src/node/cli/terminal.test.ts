import { expect, test } from "vitest";
import { Terminal, type TerminalOptions } from "./terminal.ts";

function setUp(options: Partial<TerminalOptions>, isTTY = false) {
  const written = { out: "", err: "" };
  const clock = { seconds: 0 };
  const sink = (name: "out" | "err") => ({
    isTTY,
    columns: 20,
    write(text: string) {
      written[name] += text;
    },
  });
  const terminal = new Terminal(
    { json: false, quiet: false, ...options },
    { out: sink("out"), err: sink("err"), color: false, now: () => clock.seconds },
  );
  return { terminal, written, clock };
}

test("results go to standard output, the rest to standard error", () => {
  const { terminal, written } = setUp({});
  terminal.say("AP 0.5");
  terminal.data({ ap: 0.5 });
  terminal.note("reading");
  terminal.warn("odd");
  expect(written).toEqual({ out: "AP 0.5\n", err: "reading\nwarning: odd\n" });
});

test("with json, standard output holds JSON alone", () => {
  const { terminal, written } = setUp({ json: true });
  terminal.say("AP 0.5");
  terminal.data({ ap: 0.5 });
  terminal.note("reading");
  expect(written).toEqual({ out: '{"ap":0.5}\n', err: "reading\n" });
});

test("quiet keeps results and warnings", () => {
  const { terminal, written } = setUp({ quiet: true });
  terminal.say("AP 0.5");
  terminal.note("reading");
  terminal.progress("1/2");
  terminal.warn("bad");
  expect(written).toEqual({ out: "AP 0.5\n", err: "warning: bad\n" });
});

test("progress is redrawn on a terminal and never there where it is none", () => {
  const tty = setUp({}, true);
  tty.terminal.progress("a line that is far too long for it");
  tty.terminal.progress("too soon");
  tty.clock.seconds = 1;
  tty.terminal.progress("2/2");
  tty.terminal.note("done");
  expect(tty.written.err).toBe("a line that is far \r\u001b[K2/2\r\u001b[Kdone\n");

  const pipe = setUp({});
  for (let i = 0; i < 12; i++) {
    pipe.clock.seconds = i;
    pipe.terminal.progress(`${i}`);
  }
  expect(pipe.written.err).toBe("0\n10\n");
});
