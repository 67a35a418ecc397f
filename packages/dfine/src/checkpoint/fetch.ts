import { between, callable, type OptionRules } from "@dfine/tensor";
import { abortSignal } from "../optionRules.ts";
import { ModelFileError } from "./errors.ts";

export const isAddress = (text: string): boolean => /^(https?|data|blob):/i.test(text);

/** How far a download is, bytes; `total` where the server says it. */
export interface DownloadProgress {
  readonly received: number;
  readonly total: number | undefined;
}

/** How far a download may go. */
export interface FetchOptions {
  /** Ends the download, with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Largest download, bytes; default 4 GiB. */
  readonly maxBytes?: number | undefined;
  /** Longest wait for an answer, and for the next bytes of it, milliseconds; default 30 000. */
  readonly timeout?: number | undefined;
  /** Is told how far the download is. */
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
}

/** A longer timer would end at once. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

export const FETCH_OPTIONS: OptionRules<FetchOptions> = {
  ...{ signal: abortSignal, maxBytes: between(0, Number.POSITIVE_INFINITY), timeout: between(1, LONGEST_TIMEOUT) },
  onProgress: callable,
};

/** What a server answers, as far as it is read: of the platform's `fetch` or another one. */
export interface Answer {
  readonly status: number;
  readonly ok: boolean;
  readonly headers: { get(name: string): string | null };
  readonly body: {
    getReader(): { read(): Promise<{ done: boolean; value?: Uint8Array | undefined }> };
  } | null;
}

/** The part of a file that is there already, and how the server calls the version that it is of. */
export interface FirstPart {
  readonly bytes: number;
  readonly validator: string;
}

export interface DownloadOptions extends FetchOptions {
  /** Where to go on; a server that cannot, or has another version by now, begins anew. */
  readonly from?: FirstPart | undefined;
  /** What is wanted, for messages; default "weights". */
  readonly what?: "weights" | "an image";
  /** Makes the error of what goes wrong. */
  readonly refuse?: (problem: string, remedy: string) => Error;
  /** Asks the server; default: the platform's. */
  readonly fetch?: (address: string, init: { signal: AbortSignal; headers: Record<string, string> }) => Promise<Answer>;
}

/** Errors of downloads that began, and might end well when they go on. */
const brokenOff = new WeakSet<object>();
export const isBrokenOff = (error: unknown): boolean => brokenOff.has(error as object);

const rangeOf = ({ bytes, validator }: FirstPart) => ({ range: `bytes=${bytes}-`, "if-range": validator });

/** Statuses with which a server that was asked for the rest of a file answers. */
const REST = 206;
const NO_SUCH_REST = 416;

/**
 * Asks for what is at an address and hands it to `receive`, piece by piece. The status is 206 where it is the rest after
 * `from`, 416 where there is no such rest.
 * @throws what `refuse` makes when the server refuses, cannot be reached, falls silent, or has a web page or too much
 */
export async function download<T>(
  address: string,
  options: DownloadOptions,
  receive: (answer: Answer, pieces: AsyncIterable<Uint8Array>) => Promise<T>,
): Promise<T> {
  const { signal, maxBytes = 2 ** 32, timeout = 30_000, from, what = "weights", onProgress } = options;
  const refuse =
    options.refuse ?? ((problem: string, remedy: string) => new ModelFileError(`${address}: ${problem}; ${remedy}`));
  const silence = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let answered = false;
  let before = 0;
  let received = 0;
  const checkSize = (bytes: number): void => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), timeout);
    if (bytes > maxBytes)
      throw refuse(
        `has more than the ${maxBytes} bytes that are downloaded`,
        "download it yourself, or raise maxBytes",
      );
  };
  /** What `fetch` and reading throw says nothing; their cause does. */
  const explained = (error: unknown): unknown => {
    if (signal?.aborted) return signal.reason;
    const after = answered ? ` after ${received} bytes` : "";
    const { cause = error } = error as Error;
    const reason = cause instanceof Error ? cause.message : String(cause);
    const failure = silence.signal.aborted
      ? refuse(`nothing has come for ${timeout / 1000} s${after}`, "try again, or download the file and give its path")
      : answered
        ? refuse(`the download broke off${after} (${reason})`, "try again")
        : refuse(`cannot be reached (${reason})`, "check the address and the connection");
    if (answered && (received > before || !silence.signal.aborted)) brokenOff.add(failure);
    return failure;
  };
  const orExplained = <R>(promise: Promise<R>): Promise<R> =>
    promise.catch((error: unknown) => {
      throw explained(error);
    });
  try {
    checkSize(0);
    const answer = await orExplained(
      (options.fetch ?? fetch)(address, {
        signal: AbortSignal.any([silence.signal, ...(signal ? [signal] : [])]),
        headers: from ? rangeOf(from) : {},
      }),
    );
    if (!answer.ok && !(from && answer.status === NO_SUCH_REST))
      throw refuse(`the server answers ${answer.status}`, `check the address of the ${what.replace(/^an /, "")}`);
    const isPage = () =>
      refuse(`is a web page, not ${what}`, `give the address of the file itself${shownFile(address)}`);
    if (answer.headers.get("content-type")?.startsWith("text/html")) throw isPage();
    answered = true;
    before = received = from && answer.status === REST ? from.bytes : 0;
    const length = answer.headers.get("content-length");
    const total = length === null || !answer.ok ? undefined : before + Number(length);
    checkSize(total ?? received);
    const pieces = async function* () {
      const reader = answer.body?.getReader();
      while (reader) {
        const { done, value } = await orExplained(reader.read());
        if (done || !value) return;
        if (received === 0 && PAGE.test(String.fromCharCode(...value.subarray(0, LOOKED_AT)))) throw isPage();
        received += value.length;
        checkSize(received);
        onProgress?.({ received, total });
        yield value;
      }
    };
    return await receive(answer, pieces());
  } finally {
    clearTimeout(timer);
    // What is left of a refused download is not waited for.
    silence.abort();
  }
}

/** The bytes at an address. @throws what `download` throws */
export async function fetchBytes(address: string, options: DownloadOptions = {}): Promise<Uint8Array> {
  return await download(address, options, async (_, pieces) => {
    const parts: BlobPart[] = [];
    for await (const piece of pieces) parts.push(piece as Uint8Array<ArrayBuffer>);
    return new Uint8Array(await new Blob(parts).arrayBuffer());
  });
}

/** How web pages begin, by whatever name a server calls them, and how much is looked at. */
const PAGE = /^\s*<(!doctype html|html)/i;
const LOOKED_AT = 64;

/** Pages that show a file, and the address of the file itself. */
const SHOWN: readonly (readonly [page: RegExp, file: string])[] = [
  [/^(https:\/\/huggingface\.co\/.+)\/blob\//, "$1/resolve/"],
  [/^(https:\/\/github\.com\/.+)\/blob\//, "$1/raw/"],
];

function shownFile(address: string): string {
  const shown = SHOWN.find(([page]) => page.test(address));
  return shown ? `: ${address.replace(...shown)}` : "";
}
