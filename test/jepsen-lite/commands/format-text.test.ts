// Numbers, times and tables as people read them.

import { expect, test } from 'vitest'
import { duration, plural, table } from '../../../jepsen-lite/commands/format-text.ts'

test.each([
  [0, '0 ms'],
  [133.894, '134 ms'],
  [999.4, '999 ms'],
  [3_095.424, '3.1 s'],
  [59_400, '59 s'],
  [119_000, '119 s'],
  [720_000, '12 min'],
  [5_400_000, '90 min'],
  [7_300_000, '2 h'],
  [5_000_000_000, '1,389 h'],
])('%d ms are %s', (ms, text) => {
  expect(duration(ms)).toBe(text)
})

test('one, none and many', () => {
  expect([0, 1, 2, 1_200].map((count) => plural(count, 'node'))).toEqual([
    '0 nodes',
    '1 node',
    '2 nodes',
    '1,200 nodes',
  ])
})

test('a table has its first column at the left and the others at the right, and no spaces at the end', () => {
  const rows = [
    ['fault', 'took effect', ''],
    ['storm', '1 of 1', '39 ms'],
    ['kill-majority', '10 of 12', '–'],
  ]
  expect(table(rows)).toEqual([
    'fault          took effect',
    'storm               1 of 1  39 ms',
    'kill-majority     10 of 12      –',
  ])
  expect(table([])).toEqual([])
})
