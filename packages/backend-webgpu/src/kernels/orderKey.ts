/**
 * WGSL: a float's bits as an integer that sorts as the floats do: every NaN above all else, zeros of both signs equal.
 * Never 0.
 */
export const ORDER_KEY = `
fn order_key(bits: i32) -> u32 {
  let word = bitcast<u32>(bits);
  // Without the sign: above infinity's bits lie only NaNs.
  let magnitude = word << 1u;
  let turned = word ^ (bitcast<u32>(bits >> 31u) | 0x80000000u);
  return select(select(turned, 0x80000000u, magnitude == 0u), 0xffffffffu, magnitude > 0xff000000u);
}`;
