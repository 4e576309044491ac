// Documents that are laid out.

import { expect, test } from 'vitest'
import { ExactNumber, isDocument, layOutDocument, parseDocument } from '../../web/src/pages/keys/json-text.ts'

test('a deep document of 100 KB is not laid out as 100 MB', () => {
  const deep = `${'['.repeat(1_000)}${'1,'.repeat(50_000)}1${']'.repeat(1_000)}`
  expect(layOutDocument(deep).length).toBeLessThan(10_000_000)
})

test('numbers keep the digits that JavaScript would change, and other documents are as they are', () => {
  for (const text of ['12345678901234567890', '1.0', '-0', '1e2', '1E400', '0.10000000000000000001'])
    expect(parseDocument(`[${text}]`)).toEqual([new ExactNumber(text)])
  expect(parseDocument('{"a": [1, -2, "0.5"], "b": 9007199254740991}')).toEqual({
    a: [1, -2, '0.5'],
    b: 9_007_199_254_740_991,
  })
  expect(parseDocument('[1')).toBeUndefined()
  expect(['{}', ' [1.0]', '7', '"a"', '{', ''].map(isDocument)).toEqual([
    true,
    true,
    false,
    false,
    false,
    false,
  ])
})
