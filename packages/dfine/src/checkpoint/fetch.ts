import { between, type OptionRules } from "@dfine/tensor";
import { abortSignal } from "../optionRules.ts";
import { ModelFileError } from "./errors.ts";

export const isAddress = (text: string): boolean => /^(https?|data|blob):/i.test(text);

/** How far a download may go. */
export interface FetchOptions {
  /** Ends the download, with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Largest download, bytes; default 4 GiB. */
  readonly maxBytes?: number | undefined;
  /** Longest wait for an answer, and for the next bytes of it, milliseconds; default 30 000. */
  readonly timeout?: number | undefined;
}

/** A longer timer would end at once. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

export const FETCH_OPTIONS: OptionRules<FetchOptions> = {
  ...{ signal: abortSignal, maxBytes: between(0, Number.POSITIVE_INFINITY), timeout: between(1, LONGEST_TIMEOUT) },
};

/**
 * The bytes at an address.
 * @throws ModelFileError when the server refuses, cannot be reached, falls silent, or has a web page or too much
 */
export async function fetchBytes(address: string, options: FetchOptions = {}): Promise<Uint8Array> {
  const { signal, maxBytes = 2 ** 32, timeout = 30_000 } = options;
  const refusal = (problem: string) => new ModelFileError(`${address}: ${problem}`);
  const silence = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let received = 0;
  const checkSize = (bytes: number): void => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), timeout);
    if (bytes > maxBytes)
      throw refusal(`has more than the ${maxBytes} bytes that are downloaded; download it yourself, or raise maxBytes`);
  };
  try {
    checkSize(0);
    const response = await fetch(address, { signal: AbortSignal.any([silence.signal, ...(signal ? [signal] : [])]) });
    if (!response.ok) throw refusal(`the server answers ${response.status}; check the address of the weights`);
    if (response.headers.get("content-type")?.startsWith("text/html")) throw refusal(webPage(address));
    checkSize(Number(response.headers.get("content-length")));
    const counted = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, out) {
        received += chunk.length;
        checkSize(received);
        out.enqueue(chunk);
      },
    });
    return new Uint8Array(await new Response(response.body?.pipeThrough(counted)).arrayBuffer());
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof ModelFileError) throw error;
    const after = received > 0 ? ` after ${received} bytes` : "";
    if (silence.signal.aborted)
      throw refusal(
        `nothing has come for ${timeout / 1000} s${after}; try again, or download the file and give its path`,
      );
    // What fetch itself throws says nothing; its cause does.
    const { cause = error } = error as Error;
    const reason = cause instanceof Error ? cause.message : String(cause);
    if (received > 0) throw refusal(`the download broke off${after} (${reason}); try again`);
    throw refusal(`cannot be reached (${reason}); check the address and the connection`);
  } finally {
    clearTimeout(timer);
    // What is left of a refused download is not waited for.
    silence.abort();
  }
}

/** Pages that show a file, and the address of the file itself. */
const SHOWN: readonly (readonly [page: RegExp, file: string])[] = [
  [/^(https:\/\/huggingface\.co\/.+)\/blob\//, "$1/resolve/"],
  [/^(https:\/\/github\.com\/.+)\/blob\//, "$1/raw/"],
];

function webPage(address: string): string {
  const shown = SHOWN.find(([page]) => page.test(address));
  return `is a web page, not weights; give the address of the file itself${shown ? `: ${address.replace(...shown)}` : ""}`;
}
