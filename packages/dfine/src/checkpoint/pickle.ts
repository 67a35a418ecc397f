import {
  PickleCallable,
  PickleDict,
  type PickleKey,
  PickleList,
  PickleObject,
  type PickleValue,
} from "./pickleValues.ts";

/** What a pickle may refer to, and how its reader complains. */
export interface PickleHost {
  /** The object of a Python name. @throws for names that are not on its list */
  global(module: string, name: string): PickleObject;
  persistent(id: PickleValue): PickleValue;
  fail(problem: string): never;
}

/** Values that wait for their container at a time; Python writes containers in parts of a thousand. */
const MAX_STACK = 100_000;
/** Containers begun and not ended at a time. */
const MAX_DEPTH = 1000;
/** Bytes of a whole number; 1024 digits of a hash would fit. */
const MAX_NUMBER = 512;
const NEWLINE = 10;
const UTF8 = new TextDecoder();
const LATIN1 = new TextDecoder("latin1");

/**
 * Reads a pickle of protocol 2 to 5 as far as torch.save uses them. It is data that is read: instructions that make or
 * change objects of Python work only on lists, dictionaries and what `host` gives, and nothing of the file is executed.
 * Every instruction takes at least a byte and makes at most one value, so memory stays within a small multiple of the bytes.
 */
export function unpickle(bytes: Uint8Array, host: PickleHost): PickleValue {
  return new Unpickler(bytes, host).run();
}

class Unpickler {
  readonly host: PickleHost;
  readonly memo = new Map<number, PickleValue>();
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #stack: PickleValue[] = [];
  /** Heights of the stack where open containers began. */
  readonly #marks: number[] = [];
  #position = 0;

  constructor(bytes: Uint8Array, host: PickleHost) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.host = host;
  }

  run(): PickleValue {
    for (;;) {
      const at = this.#position;
      const code = this.uint8();
      if (code === STOP) return this.pop();
      const instruction = INSTRUCTIONS[code];
      if (!instruction)
        this.host.fail(
          `uses the pickle instruction 0x${code.toString(16).padStart(2, "0")} at byte ${at}, which weights never need`,
        );
      instruction(this);
    }
  }

  #take(length: number): number {
    const at = this.#position;
    if (length > this.#bytes.length - at)
      this.host.fail(`its pickle ends at byte ${this.#bytes.length}, in the middle of a value`);
    this.#position = at + length;
    return at;
  }

  uint8(): number {
    return this.#bytes[this.#take(1)]!;
  }
  uint16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }
  int32(): number {
    return this.#view.getInt32(this.#take(4), true);
  }
  uint32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }
  float64(): number {
    return this.#view.getFloat64(this.#take(8), false);
  }
  uint64(): number {
    return Number(this.#view.getBigUint64(this.#take(8), true));
  }
  bytes(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }
  text(length: number, decoder = UTF8): string {
    return decoder.decode(this.bytes(length));
  }
  line(): string {
    const end = this.#bytes.indexOf(NEWLINE, this.#position);
    if (end < 0) this.#take(this.#bytes.length + 1);
    const text = this.text(end - this.#position);
    this.#position++;
    return text;
  }
  /** A whole number in two's complement. */
  integer(length: number): number | bigint {
    if (length > MAX_NUMBER) this.host.fail(`holds a whole number of ${length} bytes`);
    const value = this.bytes(length).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
    const signed = BigInt.asIntN(8 * length, value);
    return Number.isSafeInteger(Number(signed)) ? Number(signed) : signed;
  }

  push(value: PickleValue): void {
    if (this.#stack.length >= MAX_STACK)
      this.host.fail(`its pickle holds more than ${MAX_STACK} values open at a time`);
    this.#stack.push(value);
  }
  pop(): PickleValue {
    const value = this.#stack.pop();
    if (value === undefined || this.#stack.length < (this.#marks.at(-1) ?? 0))
      this.host.fail("its pickle takes a value that it never gave");
    return value;
  }
  top(): PickleValue {
    const value = this.pop();
    this.push(value);
    return value;
  }
  mark(): void {
    if (this.#marks.length >= MAX_DEPTH) this.host.fail(`its pickle nests more than ${MAX_DEPTH} deep`);
    this.#marks.push(this.#stack.length);
  }
  /** Takes everything since the last mark. */
  popMark(): PickleValue[] {
    const from = this.#marks.pop();
    if (from === undefined) this.host.fail("its pickle ends a container that it never began");
    return this.#stack.splice(from);
  }

  tuple(count: number): void {
    const items = Array.from({ length: count }, () => this.pop()).reverse();
    this.push(new PickleList(items, true));
  }
  append(values: readonly PickleValue[]): void {
    const list = this.top();
    if (!(list instanceof PickleList) || list.fixed) this.host.fail(`its pickle appends to ${describeValue(list)}`);
    for (const value of values) list.items.push(value);
  }
  /** Puts keys and values, in turn, into the dictionary on the stack. */
  setItems(values: readonly PickleValue[]): void {
    const dict = this.top();
    if (!(dict instanceof PickleDict)) this.host.fail(`its pickle sets items of ${describeValue(dict)}`);
    if (values.length % 2 !== 0) this.host.fail("its pickle gives a key without a value");
    for (let i = 0; i < values.length; i += 2) dict.set(this.#key(values[i]!), values[i + 1]!);
  }
  #key(value: PickleValue): PickleKey {
    if (typeof value === "object" && value !== null)
      this.host.fail(`its pickle has ${describeValue(value)} as the key of a dictionary`);
    return value;
  }
  call(): void {
    const args = this.pop();
    const callable = this.pop();
    if (!(callable instanceof PickleCallable)) this.host.fail(`its pickle calls ${describeValue(callable)}`);
    if (!(args instanceof PickleList)) this.host.fail(`its pickle calls ${callable.what} with ${describeValue(args)}`);
    this.push(callable.known(args.items));
  }
  /** Attributes of a dictionary, as the versions of a state dict, are of no use here; other objects have none. */
  build(): void {
    this.pop();
    const target = this.top();
    if (!(target instanceof PickleDict)) this.host.fail(`its pickle sets attributes of ${describeValue(target)}`);
  }
  remember(index: number): void {
    this.memo.set(index, this.top());
  }
  recall(index: number): void {
    const value = this.memo.get(index);
    if (value === undefined) this.host.fail(`its pickle refers to value ${index}, which it never gave`);
    this.push(value);
  }
}

export function describeValue(value: PickleValue): string {
  if (value instanceof PickleList) return value.fixed ? "a tuple" : "a list";
  if (value instanceof PickleDict) return "a dictionary";
  if (value instanceof PickleObject) return value.what;
  if (value instanceof Uint8Array) return "bytes";
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

const STOP = 0x2e;

/** By code, in the order of Python's pickletools. */
const INSTRUCTIONS: { readonly [code: number]: ((machine: Unpickler) => void) | undefined } = {
  /* BININT */ 74: (m) => m.push(m.int32()),
  /* BININT1 */ 75: (m) => m.push(m.uint8()),
  /* BININT2 */ 77: (m) => m.push(m.uint16()),
  /* LONG1 */ 138: (m) => m.push(m.integer(m.uint8())),
  /* LONG4 */ 139: (m) => m.push(m.integer(m.uint32())),
  /* BINSTRING */ 84: (m) => m.push(m.text(m.uint32(), LATIN1)),
  /* SHORT_BINSTRING */ 85: (m) => m.push(m.text(m.uint8(), LATIN1)),
  /* BINBYTES */ 66: (m) => m.push(m.bytes(m.uint32())),
  /* SHORT_BINBYTES */ 67: (m) => m.push(m.bytes(m.uint8())),
  /* BINBYTES8 */ 142: (m) => m.push(m.bytes(m.uint64())),
  /* NONE */ 78: (m) => m.push(null),
  /* NEWTRUE */ 136: (m) => m.push(true),
  /* NEWFALSE */ 137: (m) => m.push(false),
  /* BINUNICODE */ 88: (m) => m.push(m.text(m.uint32())),
  /* SHORT_BINUNICODE */ 140: (m) => m.push(m.text(m.uint8())),
  /* BINUNICODE8 */ 141: (m) => m.push(m.text(m.uint64())),
  /* BINFLOAT */ 71: (m) => m.push(m.float64()),
  /* EMPTY_LIST */ 93: (m) => m.push(new PickleList([], false)),
  /* APPEND */ 97: (m) => m.append([m.pop()]),
  /* APPENDS */ 101: (m) => m.append(m.popMark()),
  /* LIST */ 108: (m) => m.push(new PickleList(m.popMark(), false)),
  /* EMPTY_TUPLE */ 41: (m) => m.push(new PickleList([], true)),
  /* TUPLE */ 116: (m) => m.push(new PickleList(m.popMark(), true)),
  /* TUPLE1 */ 133: (m) => m.tuple(1),
  /* TUPLE2 */ 134: (m) => m.tuple(2),
  /* TUPLE3 */ 135: (m) => m.tuple(3),
  /* EMPTY_DICT */ 125: (m) => m.push(new PickleDict()),
  /* DICT */ 100: (m) => {
    const items = m.popMark();
    m.push(new PickleDict());
    m.setItems(items);
  },
  /* SETITEM */ 115: (m) => {
    const value = m.pop();
    m.setItems([m.pop(), value]);
  },
  /* SETITEMS */ 117: (m) => m.setItems(m.popMark()),
  /* EMPTY_SET */ 143: (m) => m.push(new PickleList([], false)),
  /* ADDITEMS */ 144: (m) => m.append(m.popMark()),
  /* FROZENSET */ 145: (m) => m.push(new PickleList(m.popMark(), true)),
  /* POP */ 48: (m) => void m.pop(),
  /* DUP */ 50: (m) => m.push(m.top()),
  /* MARK */ 40: (m) => m.mark(),
  /* POP_MARK */ 49: (m) => void m.popMark(),
  /* BINGET */ 104: (m) => m.recall(m.uint8()),
  /* LONG_BINGET */ 106: (m) => m.recall(m.uint32()),
  /* BINPUT */ 113: (m) => m.remember(m.uint8()),
  /* LONG_BINPUT */ 114: (m) => m.remember(m.uint32()),
  /* MEMOIZE */ 148: (m) => m.remember(m.memo.size),
  /* GLOBAL */ 99: (m) => m.push(m.host.global(m.line(), m.line())),
  /* STACK_GLOBAL */ 147: (m) => {
    const [name, module] = [m.pop(), m.pop()];
    if (typeof name !== "string" || typeof module !== "string")
      return m.host.fail("its pickle names an object without a name");
    m.push(m.host.global(module, name));
  },
  /* REDUCE */ 82: (m) => m.call(),
  /* BUILD */ 98: (m) => m.build(),
  /* NEWOBJ */ 129: (m) => m.call(),
  /* PROTO */ 128: (m) => {
    const protocol = m.uint8();
    if (protocol < 2 || protocol > 5) m.host.fail(`its pickle is of protocol ${protocol}, not 2 to 5`);
  },
  /* FRAME */ 149: (m) => void m.uint64(),
  /* BINPERSID */ 81: (m) => m.push(m.host.persistent(m.pop())),
};
