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
    /** All columns, those not reached yet before the others. */
    open: new Int32Array(columns),
  };
}
type Search = ReturnType<typeof startSearch>;

/**
 * Dijkstra's search over reduced costs from a free row to the nearest free column: its `length`, and how many columns
 * `remaining` were not reached; the last one reached is the free one.
 * Among equally near columns a free one wins, then the one met first; columns are met in descending order at first.
 */
function shortestPath(cost: Float64Array, search: Search, start: number): { remaining: number; length: number } {
  const { distance, previous, open, rowPrice, columnPrice, rowOfColumn } = search;
  const columns = open.length;
  distance.fill(Number.POSITIVE_INFINITY);
  for (let i = 0; i < columns; i++) open[i] = columns - 1 - i;
  let remaining = columns;
  let length = 0;
  for (let row = start; row >= 0; row = rowOfColumn[open[remaining]!]!) {
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
    open[nearest] = open[--remaining]!;
    open[remaining] = column;
  }
  return { remaining, length };
}

/** Gives row `start` a column: moves prices so that the path just found costs nothing, and assigns along it. */
function augment(search: Search, start: number, { remaining, length }: ReturnType<typeof shortestPath>): void {
  const { rowPrice, columnPrice, columnOfRow, rowOfColumn, distance, previous, open } = search;
  rowPrice[start]! += length;
  for (const column of open.subarray(remaining)) {
    const row = rowOfColumn[column]!;
    columnPrice[column]! -= length - distance[column]!;
    if (row >= 0) rowPrice[row]! += length - distance[column]!;
  }
  for (let column = open[remaining]!; column >= 0; ) {
    const row = previous[column]!;
    const next = columnOfRow[row]!;
    rowOfColumn[column] = row;
    columnOfRow[row] = column;
    column = next;
  }
}

function transposed(cost: Float64Array, rows: number, columns: number): Float64Array {
  const result = new Float64Array(cost.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) result[column * rows + row] = cost[row * columns + column]!;
  return result;
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
  let bad = cost.length - 1;
  while (bad >= 0 && Math.abs(cost[bad]!) <= LARGEST_COST) bad--;
  if (bad >= 0)
    throw new AssignmentError(
      `linearSumAssignment: the cost of row ${Math.floor(bad / columns)}, column ${bad % columns} is ${cost[bad]}; ` +
        `replace costs that are not numbers within ±${LARGEST_COST}`,
    );
  const wide = rows <= columns;
  // With the shorter side first every row gets a column.
  const [short, long] = wide ? [rows, columns] : [columns, rows];
  const view = wide ? cost : transposed(cost, rows, columns);
  const search = startSearch(short, long);
  for (let row = 0; row < short; row++) augment(search, row, shortestPath(view, search, row));
  // Each row of the shorter side has a column, each of the longer one may have.
  const columnOf = wide ? search.columnOfRow : search.rowOfColumn;
  const assigned = new Int32Array(short);
  let count = 0;
  for (let row = 0; row < rows; row++) if (columnOf[row]! >= 0) assigned[count++] = row;
  return { rows: assigned, columns: assigned.map((row) => columnOf[row]!) };
}
