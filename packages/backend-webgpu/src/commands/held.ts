import type { Block } from "../memory/gpuBuffer.ts";
import { abreast, mayStandAbreast } from "./abreast.ts";
import type { Command } from "./command.ts";
import { areApart, type Region } from "./region.ts";
import { UNIFORM_BYTES } from "./shader.ts";

/** A dispatch that may share one with others; its shader has a `part`. */
export interface HeldCommand extends Command {
  /** What it writes of the block in a slot, if that is known. */
  readonly written?: (slot: number) => Region | undefined;
}

interface HeldOptions {
  /** Runs a command, whose words are good until it returns. */
  readonly run: (command: Command) => void;
  readonly maxBindings: number;
  /** Work that one dispatch may have. */
  readonly limits: { readonly visits: number };
}

/** Bytes that wait to be given back at most. */
const MOST_WAITING = 2 ** 26;
/** Most dispatches that become one. */
const MOST_PARTS = 16;

/**
 * Dispatches that wait, since they may share one: none needs what another does. Whatever else is asked for goes before them where
 * it touches nothing of theirs; otherwise they run first.
 */
export class Held {
  readonly #options: HeldOptions;
  #commands: HeldCommand[] = [];
  /** Blocks that they bind, and whether one of them writes there. */
  readonly #blocks = new Map<object, boolean>();
  /** Their uniforms, one after the other, behind room for where the workgroups of each end. */
  readonly #words = new Int32Array(MOST_PARTS + UNIFORM_BYTES / 4);
  #wordsEnd = MOST_PARTS;
  /** What is called when they have run. */
  #gifts: (() => void)[] = [];
  #givenBytes = 0;
  #work = 0;

  constructor(options: HeldOptions) {
    this.#options = options;
  }

  /** Runs a command, perhaps later; its words, of which uniforms hold all, may change before. */
  hold(command: HeldCommand): void {
    if (!this.#mayJoin(command)) this.release();
    const { blocks, shader, words, work = 0 } = command;
    this.#commands.push(command);
    this.#words.set(words, this.#wordsEnd);
    this.#wordsEnd += words.length;
    this.#work += work;
    blocks.forEach((block, slot) => {
      this.#blocks.set(block, this.#blocks.get(block) || shader.access[slot] === "write");
    });
  }

  /** To be called before a command runs that does not wait. */
  before({ blocks, shader }: Pick<Command, "blocks" | "shader">): void {
    if (this.#commands.length > 0 && blocks.some((block, slot) => this.touches(block, shader.access[slot] === "write")))
      this.release();
  }

  /** Whether what waits writes a block, or `isWritten` and it reads it. */
  touches(block: object, isWritten: boolean): boolean {
    const own = this.#blocks.get(block);
    return own !== undefined && (own || isWritten);
  }

  /** Calls `give` once nothing that waits needs a block. */
  whenUnused(block: Block, give: () => void): void {
    if (!this.#blocks.has(block)) {
      give();
      return;
    }
    this.#gifts.push(give);
    this.#givenBytes += block.bytes;
    if (this.#givenBytes > MOST_WAITING) this.release();
  }

  /** Runs what waits. */
  release(): void {
    const commands = this.#commands;
    if (commands.length === 0) return;
    this.#commands = [];
    this.#blocks.clear();
    const wordsEnd = this.#wordsEnd;
    this.#wordsEnd = MOST_PARTS;
    this.#work = 0;
    const gifts = this.#gifts;
    this.#gifts = [];
    this.#givenBytes = 0;
    try {
      const { ends, ...command } = abreast(commands);
      const begin = MOST_PARTS - ends.length;
      this.#words.set(ends, begin);
      this.#options.run({ ...command, words: this.#words.subarray(begin, wordsEnd) });
    } finally {
      for (const give of gifts) give();
    }
  }

  #mayJoin(command: HeldCommand): boolean {
    const { maxBindings, limits } = this.#options;
    const others = this.#commands;
    return (
      others.length < MOST_PARTS &&
      this.#wordsEnd - MOST_PARTS + others.length + 1 + command.words.length <= UNIFORM_BYTES / 4 &&
      this.#work + (command.work ?? 0) <= limits.visits &&
      this.#blocks.size + command.blocks.filter((block) => !this.#blocks.has(block)).length <= maxBindings &&
      others.every((other) => !needsOther(other, command) && mayStandAbreast(other, command))
    );
  }
}

/** Whether one of two commands reads or writes what the other writes. */
function needsOther(first: HeldCommand, second: HeldCommand): boolean {
  return first.blocks.some((block, i) => {
    const k = second.blocks.indexOf(block);
    if (k < 0) return false;
    const [own, other] = [first.shader.access[i], second.shader.access[k]];
    if (own === "read" && other === "read") return false;
    return own === "read" || other === "read" || !areApart(first.written?.(i), second.written?.(k));
  });
}
