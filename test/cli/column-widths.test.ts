// Tables on terminals: wide characters, and lines that fit.

import { expect, test } from 'vitest'
import { columnsThatFit, displayWidth, fitColumns, shortenText } from '../../src/cli/format/column-widths.ts'

test('a text is as wide as a terminal shows it', () => {
  const widths = ['', 'abc', '鍵', '키', 'ｶﾅ', '😀', '👩‍👩‍👧‍👦', '🇨🇭', 'e\u0301', '→'].map(displayWidth)
  expect(widths).toEqual([0, 3, 2, 2, 2, 2, 2, 2, 1, 1])
})

test('a text that is too wide ends with an ellipsis, and no character of it is cut in two', () => {
  expect(shortenText('services/a', 10)).toBe('services/a')
  expect(shortenText('services/ab', 10)).toBe('services/…')
  expect(shortenText('鍵鍵鍵', 5)).toBe('鍵鍵…')
  expect(shortenText('鍵鍵鍵', 4)).toBe('鍵…')
  expect(shortenText('a👩‍👩‍👧‍👦b', 3)).toBe('a…')
})

test('a key of thousands of invisible characters is shortened as fast as any other', () => {
  const invisible = '\u200b'.repeat(12_000)
  expect(shortenText(`${invisible}abcdef`, 5)).toBe(`${invisible}abcd…`)
}, 5_000)

test('columns that do not fit even as narrow as possible are left out from the end', () => {
  expect(columnsThatFit([4, 21, 8], 2, 24)).toBe(3)
  // The mark of two columns needs its place.
  expect(columnsThatFit([4, 21, 8], 2, 23)).toBe(2)
  expect(columnsThatFit([4, 21, 8], 2, 15)).toBe(1)
  expect(columnsThatFit([4, 21, 8], 2, 1)).toBe(1)
  expect(columnsThatFit([4, 21, 8], 2, Number.POSITIVE_INFINITY)).toBe(3)
})

test('the widest columns give way, and none becomes too narrow to be of use', () => {
  expect(fitColumns([4, 21, 8], 2, 80)).toEqual([4, 21, 8])
  expect(fitColumns([4, 21, 8], 2, 30)).toEqual([4, 14, 8])
  expect(fitColumns([30, 30, 5], 2, 49)).toEqual([20, 20, 5])
  expect(fitColumns([30, 30, 5], 2, 10)).toEqual([8, 8, 5])
  expect(fitColumns([30], 2, Number.POSITIVE_INFINITY)).toEqual([30])
})
