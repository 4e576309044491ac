// The marks of a logarithmic axis: 1, 2 and 5 of each power of ten. Powers of ten alone, where there are several.

/** Marks of an axis beyond which some are left out. */
const MARKS_MAX = 5
const STEPS = [1, 2, 5, 10] as const

/** The part of the axis that shows all values from `least` to `most`, between two marks. Both are above 0. */
export function logRange(least: number, most: number): [from: number, to: number] {
  const from = markBelow(least)
  const to = markAbove(most)
  // One value alone has some room above and below it.
  return from < to ? [from, to] : [markBelow(from * 0.99), markAbove(to * 1.01)]
}

export function logMarks(from: number, to: number): number[] {
  const first = Math.floor(Math.log10(from) + EXACT)
  const last = Math.ceil(Math.log10(to) - EXACT)
  const powers = Array.from({ length: last - first + 1 }, (_, at) => 10 ** (first + at))
  const isInside = (mark: number): boolean => mark >= from * (1 - EXACT) && mark <= to * (1 + EXACT)
  const tens = powers.filter(isInside)
  if (tens.length < 2) return powers.flatMap((power) => [power, 2 * power, 5 * power]).filter(isInside)
  const step = Math.ceil(tens.length / MARKS_MAX)
  return tens.filter((_, at) => at % step === 0)
}

/** Share by which a computed power may differ from the exact one. */
const EXACT = 1e-9

function markBelow(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value))
  return power * (STEPS.findLast((step) => step * power <= value * (1 + EXACT)) ?? 1)
}

function markAbove(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value))
  return power * (STEPS.find((step) => step * power >= value * (1 - EXACT)) ?? 10)
}
