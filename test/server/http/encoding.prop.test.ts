// Whatever a key's bytes are, they come out of the request target as they went in, and out of JSON as well.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { TAGS_MAX } from '../../../src/operations/forms/index.ts'
import { readConditions } from '../../../src/operations/http/conditions.ts'
import { readIdempotencyKey } from '../../../src/operations/http/idempotency.ts'
import { bytesJson } from '../../../src/operations/http/json.ts'
import { percentDecode, queryDecode } from '../../../src/operations/http/percent.ts'
import { parseTarget } from '../../../src/server/connections/target.ts'
import { character } from '../../characters.ts'
import { runs } from '../../runs.ts'

const bytes = fc.uint8Array({ maxLength: 40 })

/** Some of what need not be escaped is escaped all the same, in either case. */
const escapedWith = (choices: readonly number[], plain: RegExp) => (key: Uint8Array) =>
  [...key]
    .map((byte, i) => {
      const hex = byte.toString(16).padStart(2, '0')
      const choice = choices[i % choices.length] ?? 0
      const text = String.fromCharCode(byte)
      return choice === 0 && plain.test(text) ? text : `%${choice === 1 ? hex.toUpperCase() : hex}`
    })
    .join('')

const choices = fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 8 })

test('a key survives the path of a target', () => {
  fc.assert(
    fc.property(bytes, choices, (key, choices) => {
      const { path, query } = parseTarget('GET', `/v1/kv/${escapedWith(choices, /[!-$&->@-~]/)(key)}?a=b`)
      expect([...percentDecode(path.slice('/v1/kv/'.length))]).toEqual([...key])
      expect(query).toBe('a=b')
    }),
    { numRuns: runs(500) },
  )
})

test('a key survives a query', () => {
  fc.assert(
    fc.property(bytes, choices, (key, choices) => {
      const text = escapedWith(choices, /[A-Za-z0-9._~/-]/)(key)
      expect([...queryDecode(text)]).toEqual([...key])
      expect([...queryDecode(text.replaceAll('%20', '+'))]).toEqual([...key])
    }),
    { numRuns: runs(500) },
  )
})

test('bytes survive JSON', () => {
  const anything = fc.oneof(
    bytes,
    fc.string({ unit: character }).map((text) => new TextEncoder().encode(text)),
  )
  fc.assert(
    fc.property(anything, (value) => {
      const json = JSON.parse(bytesJson(value))
      const back = typeof json === 'string' ? Buffer.from(json) : Buffer.from(json.base64, 'base64')
      expect([...back]).toEqual([...value])
    }),
    { numRuns: runs(500) },
  )
})

test('a token survives its header, quoted or not', () => {
  const token = fc.string({
    unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
    minLength: 1,
    maxLength: 255,
  })
  fc.assert(
    fc.property(token, fc.option(fc.integer({ min: 1 }), { nil: undefined }), (token, since) => {
      const more = since === undefined ? '' : `;since=${since}`
      expect(readIdempotencyKey(`"${token}"${more}`)).toEqual({ token, since })
    }),
    { numRuns: runs(500) },
  )
})

test('tags survive their list', () => {
  const tags = fc.array(fc.record({ revision: fc.integer({ min: 1 }), weak: fc.boolean() }), { minLength: 1 })
  fc.assert(
    fc.property(tags, fc.constantFrom(',', ', ', ' ,\t', ',,'), (tags, comma) => {
      const text = tags.map(({ revision, weak }) => `${weak ? 'W/' : ''}"${revision}"`).join(comma)
      const condition = readConditions({ 'if-match': text, 'if-none-match': text })
      expect(condition?.ifNoneMatch).toEqual(tags.map(({ revision }) => revision))
      expect(condition?.ifMatch).toEqual(tags.filter(({ weak }) => !weak).map(({ revision }) => revision))
    }),
    { numRuns: runs(300) },
  )
})

test('a list of more tags than a request can carry is refused', () => {
  const most = Array(TAGS_MAX).fill('"1"').join()
  for (const header of ['if-match', 'if-none-match']) {
    expect(readConditions({ [header]: most })).toBeDefined()
    expect(() => readConditions({ [header]: `${most}, "x"` })).not.toThrow()
    expect(() => readConditions({ [header]: `${most},"1"` })).toThrow(`at most ${TAGS_MAX}`)
  }
})

// Such a list must not stop the node. A parser that starts again at each space would take many seconds.
test('a list of tags is read in one go, however many spaces are in it', { timeout: 5_000 }, () => {
  const text = `"1",${' '.repeat(150_000)}x`
  expect(() => readConditions({ 'if-match': text })).toThrow('quoted entity tags')
})
