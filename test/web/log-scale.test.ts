// The axis of a chart whose values differ by powers of ten.

import { expect, test } from 'vitest'
import { logMarks, logRange } from '../../web/src/design/log-scale.ts'

test.each([
  [0.00079, 50, [0.0005, 50], [0.001, 0.01, 0.1, 1, 10]],
  [0.0008, 0.0012, [0.0005, 0.002], [0.0005, 0.001, 0.002]],
  [0.001, 0.1, [0.001, 0.1], [0.001, 0.01, 0.1]],
  [0.002, 0.002, [0.001, 0.005], [0.001, 0.002, 0.005]],
  [0.0021, 0.0049, [0.002, 0.005], [0.002, 0.005]],
  [1e-6, 1_000, [1e-6, 1_000], [1e-6, 1e-4, 1e-2, 1, 100]],
])('values from %d to %d have marks between them', (least, most, range, marks) => {
  const close = (values: readonly number[]) => values.map((value) => Number(value.toPrecision(6)))
  const [from, to] = logRange(least, most)
  expect(close([from, to])).toEqual(range)
  expect(close(logMarks(from, to))).toEqual(marks)
})
