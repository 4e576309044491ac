// A value in the editor of the console: an edit changes no byte that the user did not touch.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ExactNumber, layOutDocument, parseDocument } from '../../web/src/pages/keys/json-text.ts'

test('a document is laid out as JSON.stringify does it, with its numbers and repeated fields as they are', () => {
  expect(layOutDocument('{"big":12345678901234567890,"a":1.0,"a":[],"b":{"c":["x, y",{}]}}')).toBe(
    '{\n  "big": 12345678901234567890,\n  "a": 1.0,\n  "a": [],\n  "b": {\n    "c": [\n      "x, y",\n      {}\n    ]\n  }\n}',
  )
  fc.assert(
    fc.property(
      fc.oneof(fc.dictionary(fc.string(), fc.jsonValue()), fc.array(fc.jsonValue())),
      (document) => {
        const text = JSON.stringify(document)
        expect(layOutDocument(text)).toBe(JSON.stringify(JSON.parse(text), null, 2))
      },
    ),
  )
})

test('a number with more digits than JavaScript keeps is shown as it is written', () => {
  expect(parseDocument('[9007199254740993, 1.5]')).toEqual([new ExactNumber('9007199254740993'), 1.5])
  expect(parseDocument('[1')).toBeUndefined()
})
