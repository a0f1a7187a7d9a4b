/** Steps of colour between the least and the greatest value. */
export const STEPS = 7;

/** The step of a value; the middle one where all are the same. */
export function stepOf(number: number, least: number, most: number): number {
  if (most <= least) return Math.floor(STEPS / 2);
  return Math.min(STEPS - 1, Math.floor(((number - least) / (most - least)) * STEPS));
}
