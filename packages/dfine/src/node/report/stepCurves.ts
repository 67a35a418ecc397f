interface Bucket {
  steps: number;
  stepSum: number;
  readonly terms: Map<string, { sum: number; count: number }>;
}

/** More points than a chart has room for only make the page larger. */
const MOST = 300;

/**
 * Curves of what steps tell, thinned out to means of neighbours as they become many: a run of any length takes the same
 * room. Numbers that are not finite are left out.
 */
export class StepCurves {
  #buckets: Bucket[] = [];
  /** Steps that a bucket holds. */
  #size = 1;

  /** Takes down what step `step` tells; steps come in ascending order. */
  add(step: number, numbers: Readonly<Record<string, unknown>>): void {
    let last = this.#buckets.at(-1);
    if (!last || last.steps >= this.#size) {
      last = { steps: 0, stepSum: 0, terms: new Map() };
      this.#buckets.push(last);
    }
    last.steps++;
    last.stepSum += step;
    for (const [name, value] of Object.entries(numbers))
      if (typeof value === "number" && Number.isFinite(value)) addTerm(last, name, { sum: value, count: 1 });
    if (this.#buckets.length > 2 * MOST) this.#halve();
  }

  #halve(): void {
    const halved: Bucket[] = [];
    for (let i = 0; i < this.#buckets.length; i += 2) {
      const [first, second] = this.#buckets.slice(i, i + 2) as [Bucket, Bucket | undefined];
      halved.push(first);
      if (!second) continue;
      first.steps += second.steps;
      first.stepSum += second.stepSum;
      for (const [name, term] of second.terms) addTerm(first, name, term);
    }
    this.#buckets = halved;
    this.#size *= 2;
  }

  /** Mean step of each point, ascending. */
  get steps(): number[] {
    return this.#buckets.map(({ steps, stepSum }) => stepSum / steps);
  }

  /** All that was told of any step, in the order of its first appearance. */
  get names(): string[] {
    return [...new Set(this.#buckets.flatMap(({ terms }) => [...terms.keys()]))];
  }

  /** Mean value at each of `steps`; null where it was not told. */
  curve(name: string): (number | null)[] {
    return this.#buckets.map(({ terms }) => {
      const term = terms.get(name);
      return term ? Number((term.sum / term.count).toPrecision(5)) : null;
    });
  }
}

function addTerm({ terms }: Bucket, name: string, { sum, count }: { sum: number; count: number }): void {
  const term = terms.get(name);
  if (term) {
    term.sum += sum;
    term.count += count;
  } else terms.set(name, { sum, count });
}
