type Rows = AsyncIterable<object> | Iterable<object>;

/** The text of a COCO annotation file, piece by piece: files of any length. Lists are read in the order of their names here. */
export async function* cocoText(lists: {
  readonly images: Rows;
  readonly categories: Rows;
  readonly annotations: Rows;
}): AsyncGenerator<string, void, undefined> {
  yield* inPieces(members(lists));
}

async function* members(lists: Readonly<Record<string, Rows>>): AsyncGenerator<string, void, undefined> {
  let before = "{";
  for (const [name, rows] of Object.entries(lists)) {
    yield `${before}${JSON.stringify(name)}: [`;
    let separator = "\n";
    for await (const row of rows) {
      yield separator + JSON.stringify(row);
      separator = ",\n";
    }
    before = "],\n";
  }
  yield "]\n}\n";
}

const PIECE = 1 << 16;

/** The same text in pieces that are worth a write each. */
async function* inPieces(texts: AsyncIterable<string>): AsyncGenerator<string, void, undefined> {
  let piece = "";
  for await (const text of texts) {
    piece += text;
    if (piece.length < PIECE) continue;
    yield piece;
    piece = "";
  }
  yield piece;
}
