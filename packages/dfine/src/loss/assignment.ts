/** Pairs of a linear assignment, `rows` ascending. */
export interface Assignment {
  readonly rows: Int32Array;
  readonly columns: Int32Array;
}

/** Costs that no assignment can be computed from. */
export class AssignmentError extends Error {
  override readonly name = "AssignmentError";
}

/** Beyond this size sums of costs could overflow. */
const LARGEST_COST = 1e300;

type Search = ReturnType<typeof startSearch>;

/** State of the search: dual prices, and both directions of the assignment (-1: free). */
function startSearch(rows: number, columns: number) {
  return {
    rowPrice: new Float64Array(rows),
    columnPrice: new Float64Array(columns),
    columnOfRow: new Int32Array(rows).fill(-1),
    rowOfColumn: new Int32Array(columns).fill(-1),
    /** Shortest distance found to each column, and the row before it on that path. */
    distance: new Float64Array(columns),
    previous: new Int32Array(columns),
    visitedRows: new Uint8Array(rows),
    visitedColumns: new Uint8Array(columns),
    /** Columns not reached yet: the first `remaining` entries. */
    open: new Int32Array(columns),
  };
}

/**
 * Dijkstra's search over reduced costs from a free row to the nearest free column.
 * Among equally near columns a free one wins, then the one met first; columns are met in descending order at first.
 */
function shortestPath(cost: Float64Array, search: Search, start: number): { end: number; length: number } {
  const columns = search.open.length;
  const { distance, previous, open, rowPrice, columnPrice, rowOfColumn } = search;
  search.visitedRows.fill(0);
  search.visitedColumns.fill(0);
  distance.fill(Number.POSITIVE_INFINITY);
  for (let i = 0; i < columns; i++) open[i] = columns - 1 - i;
  let remaining = columns;
  let length = 0;
  let row = start;
  for (;;) {
    search.visitedRows[row] = 1;
    const base = row * columns;
    const offset = length - rowPrice[row]!;
    let nearest = -1;
    let shortest = Number.POSITIVE_INFINITY;
    for (let i = 0; i < remaining; i++) {
      const column = open[i]!;
      const through = offset + cost[base + column]! - columnPrice[column]!;
      if (through < distance[column]!) {
        distance[column] = through;
        previous[column] = row;
      }
      const reached = distance[column]!;
      if (reached < shortest || (reached === shortest && rowOfColumn[column] === -1)) {
        shortest = reached;
        nearest = i;
      }
    }
    length = shortest;
    const column = open[nearest]!;
    search.visitedColumns[column] = 1;
    open[nearest] = open[--remaining]!;
    if (rowOfColumn[column] === -1) return { end: column, length };
    row = rowOfColumn[column]!;
  }
}

/** Moves the prices so that the path just found has reduced cost zero. */
function updatePrices(search: Search, start: number, length: number): void {
  const { rowPrice, columnPrice, visitedRows, visitedColumns, distance, columnOfRow } = search;
  for (let row = 0; row < rowPrice.length; row++) {
    if (row === start) rowPrice[row]! += length;
    else if (visitedRows[row]) rowPrice[row]! += length - distance[columnOfRow[row]!]!;
  }
  for (let column = 0; column < columnPrice.length; column++)
    if (visitedColumns[column]) columnPrice[column]! -= length - distance[column]!;
}

/** Swaps assigned and free edges along the path that ends in the free column `end`. */
function augment(search: Search, start: number, end: number): void {
  let column = end;
  for (;;) {
    const row = search.previous[column]!;
    search.rowOfColumn[column] = row;
    const next = search.columnOfRow[row]!;
    search.columnOfRow[row] = column;
    if (row === start) return;
    column = next;
  }
}

/**
 * Assigns min(rows, columns) row-column pairs of least total cost; `cost` is row-major [rows, columns].
 * Successive shortest augmenting paths (Jonker and Volgenant 1987; Crouse 2016), O(min² · max). Costs must be numbers within ±1e300;
 * equal optima are resolved the same way every time.
 * @throws AssignmentError where the size is wrong or a cost is out of range
 */
export function linearSumAssignment(cost: Float64Array, rows: number, columns: number): Assignment {
  if (cost.length !== rows * columns)
    throw new AssignmentError(
      `linearSumAssignment: ${cost.length} costs do not fill [${rows}, ${columns}]; give ${rows * columns}`,
    );
  const bad = cost.findIndex((value) => !(Math.abs(value) <= LARGEST_COST));
  if (bad >= 0)
    throw new AssignmentError(
      `linearSumAssignment: the cost of row ${Math.floor(bad / columns)}, column ${bad % columns} is ${cost[bad]}; ` +
        `replace costs that are not numbers within ±${LARGEST_COST}`,
    );
  const wide = rows <= columns;
  // With the shorter side first every row gets a column.
  const [short, long] = wide ? [rows, columns] : [columns, rows];
  const view = wide ? cost : cost.map((_, i) => cost[(i % rows) * columns + Math.floor(i / rows)]!);
  const search = startSearch(short, long);
  for (let row = 0; row < short; row++) {
    const { end, length } = shortestPath(view, search, row);
    updatePrices(search, row, length);
    augment(search, row, end);
  }
  if (wide) return { rows: Int32Array.from({ length: rows }, (_, row) => row), columns: search.columnOfRow };
  const taken = search.rowOfColumn;
  const assigned = Int32Array.from({ length: rows }, (_, row) => row).filter((row) => taken[row]! >= 0);
  return { rows: assigned, columns: assigned.map((row) => taken[row]!) };
}
