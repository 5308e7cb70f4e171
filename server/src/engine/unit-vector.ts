/**
 * `vector` cut to its first `dimensions` numbers and scaled to length 1; a vector of zeros stays one. Models that were
 * trained for it (Matryoshka representations) keep their meaning when they are cut so. Numbers have eight significant
 * digits: what a 32-bit float has, and no more on the wire.
 */
export function toUnitVector(vector: Float32Array, dimensions: number = vector.length): readonly number[] {
  const cut = vector.subarray(0, dimensions);
  let square = 0;
  for (const value of cut) square += value * value;
  const length = Math.sqrt(square);
  return Array.from(cut, (value) => (length === 0 ? 0 : Number((value / length).toPrecision(8))));
}
