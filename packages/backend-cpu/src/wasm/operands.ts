import type { ValueType } from "./opcodes.ts";

/** Lists that many instructions take or give. */
export const NONE: readonly ValueType[] = [];
export const ALONE: Readonly<Record<ValueType, readonly ValueType[]>> = {
  i32: ["i32"],
  i64: ["i64"],
  f32: ["f32"],
  v128: ["v128"],
};

/** What lies on WebAssembly's operand stack where the next instruction comes, so that mistakes are seen where they are made. */
export class Operands {
  readonly #types: ValueType[] = [];
  /** What lies below belongs to the code around the innermost block. */
  #floor = 0;
  /** Whether the next instruction can be reached. */
  #reachable = true;

  /** @throws when other types lie on the stack than those that an instruction takes */
  take(name: string, takes: readonly ValueType[]): void {
    if (!this.#reachable) throw new Error(`assembler: ${name}: nothing runs after an unconditional branch`);
    const at = this.#types.length - takes.length;
    if (at < this.#floor || takes.some((type, i) => type !== this.#types[at + i])) {
      const have = this.#types.slice(Math.max(at, this.#floor));
      throw new Error(`assembler: ${name}: takes (${takes.join(", ")}), the stack has (${have.join(", ")})`);
    }
    this.#types.length = at;
  }
  give(types: readonly ValueType[]): void {
    for (const type of types) this.#types.push(type);
  }
  /** The code went elsewhere. */
  leave(): void {
    this.#reachable = false;
  }
  /** `body` is a block of its own. @throws when it leaves anything on the stack */
  block(body: () => void): void {
    if (!this.#reachable) throw new Error("assembler: nothing runs after an unconditional branch");
    const outer = this.#floor;
    this.#floor = this.#types.length;
    body();
    this.close();
    this.#floor = outer;
  }
  /** The innermost block ends here, and code that can be reached comes. @throws when it leaves anything on the stack */
  close(): void {
    if (this.#reachable && this.#types.length !== this.#floor)
      throw new Error(`assembler: a block leaves ${this.#types.slice(this.#floor).join(", ")} on the stack`);
    this.#types.length = this.#floor;
    this.#reachable = true;
  }
  /** The function ends here. @throws when it leaves anything on the stack */
  end(): void {
    if (this.#types.length > 0 && this.#reachable)
      throw new Error(`assembler: left on the stack: ${this.#types.join(", ")}`);
    this.#reachable = true;
  }
}
