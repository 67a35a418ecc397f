import pc from "picocolors";

export interface TerminalOptions {
  /** Standard output is for a program: it gets JSON and nothing else. */
  readonly json: boolean;
  readonly quiet: boolean;
}

export interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

/** Seconds between progress lines where they can't be redrawn in place. */
const LINE_EVERY = 10;
/** Seconds between redraws. */
const REDRAW_EVERY = 0.1;

/** What a command says: results on standard output, everything else on standard error. */
export class Terminal {
  readonly json: boolean;
  readonly #quiet: boolean;
  readonly #out: Sink;
  readonly #err: Sink;
  readonly #colors: ReturnType<typeof pc.createColors>;
  readonly #now: () => number;
  #drawn = false;
  #lastProgress = Number.NEGATIVE_INFINITY;

  constructor(options: TerminalOptions, sinks: { out?: Sink; err?: Sink; color?: boolean; now?: () => number } = {}) {
    this.json = options.json;
    this.#quiet = options.quiet;
    this.#out = sinks.out ?? process.stdout;
    this.#err = sinks.err ?? process.stderr;
    this.#colors = pc.createColors(sinks.color ?? (pc.isColorSupported && this.#err.isTTY === true));
    this.#now = sinks.now ?? (() => performance.now() / 1000);
  }

  /** A result for people; nothing when the output is JSON. */
  say(text: string): void {
    if (!this.json) this.#line(this.#out, text);
  }

  /** A result for programs, one line of JSON; nothing otherwise. */
  data(value: unknown): void {
    if (this.json) this.#line(this.#out, JSON.stringify(value));
  }

  /** What is going on; left out when quiet. */
  note(text: string): void {
    if (!this.#quiet) this.#line(this.#err, this.#colors.dim(text));
  }

  warn(text: string): void {
    this.#line(this.#err, `${this.#colors.yellow("warning:")} ${text}`);
  }

  /** How far it is: redrawn in place on a terminal, now and then a line elsewhere. */
  progress(text: string): void {
    if (this.#quiet) return;
    const tty = this.#err.isTTY === true;
    const now = this.#now();
    if (now - this.#lastProgress < (tty ? REDRAW_EVERY : LINE_EVERY)) return;
    this.#lastProgress = now;
    if (!tty) {
      this.#err.write(`${text}\n`);
      return;
    }
    this.#clear();
    this.#err.write(text.slice(0, (this.#err.columns ?? 80) - 1));
    this.#drawn = true;
  }

  #line(sink: Sink, text: string): void {
    this.#clear();
    sink.write(`${text}\n`);
  }

  /** Takes a redrawn line away, so that the next text starts a line of its own. */
  #clear(): void {
    if (!this.#drawn) return;
    this.#drawn = false;
    this.#err.write("\r\u001b[K");
  }
}
