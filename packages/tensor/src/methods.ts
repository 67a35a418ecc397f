import { add, div, mul, neg, sub } from "./ops/arithmetic.ts";
import { data, item } from "./ops/create.ts";
import { matmul } from "./ops/matmul.ts";
import { mean, sum } from "./ops/reduce.ts";
import { contiguous, expand, flatten, permute, reshape, slice, squeeze, transpose, unsqueeze } from "./ops/view.ts";
import { defineMethods } from "./tensor.ts";

defineMethods({
  ...{ data, item },
  ...{ add, sub, mul, div, neg, matmul, sum, mean },
  ...{ reshape, flatten, permute, transpose, expand, unsqueeze, squeeze, slice, contiguous },
});
