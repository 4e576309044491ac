// The meaning of the language of transactions, and the messages about wrong texts.

import { expect, describe as group, test } from 'vitest'
import { NESTING_MAX, parseTxn } from '../../../src/cli/txn/parser.ts'
import { formatSyntaxError as describe, TxnSyntaxError } from '../../../src/cli/txn/syntax-error.ts'
import { formatTxn, httpForm } from './format-txn.ts'
import { errorOf, readFile, WRONG_TEXTS } from './wrong-texts.ts'

const parse = (text: string) => parseTxn(text, readFile)

group('a comparison', () => {
  test.each([
    ['value(config/mode) = "blue"', { key: 'config/mode', target: 'value', op: '=', to: 'blue' }],
    ['value(a)=b', { key: 'a', target: 'value', op: '=', to: 'b' }],
    ['value(a)==b', undefined],
    ['value(a) = =b', { key: 'a', target: 'value', op: '=', to: '=b' }],
    ['value(a)=<b>', { key: 'a', target: 'value', op: '=', to: '<b>' }],
    ['value(a) != @app.conf', { key: 'a', target: 'value', op: '!=', to: 'a=1\n' }],
    ['value(a) < base64:/w==', { key: 'a', target: 'value', op: '<', to: Buffer.of(0xff) }],
    ['version("jobs/42") = 0', { key: 'jobs/42', target: 'version', op: '=', to: 0 }],
    ['\tversion ( jobs/42 )=0\t# new', { key: 'jobs/42', target: 'version', op: '=', to: 0 }],
    ['version(prefix jobs/) > 17', { prefix: 'jobs/', target: 'version', op: '>', to: 17 }],
    ['mod_revision(range a "b c") < 9', { start: 'a', end: 'b c', target: 'mod_revision', op: '<', to: 9 }],
    ['create_revision(from a) != 007', { start: 'a', target: 'create_revision', op: '!=', to: 7 }],
    ['create_revision(before b) = 1', { end: 'b', target: 'create_revision', op: '=', to: 1 }],
    [
      'lease(key) = 18446744073709551615',
      { key: 'key', target: 'lease', op: '=', to: '18446744073709551615' },
    ],
    ['lease(key) = 00', { key: 'key', target: 'lease', op: '=', to: '0' }],
    ['exists key', { key: 'key', exists: true }],
    ['missing "prefix"', { key: 'prefix', exists: false }],
  ])('%s', (line, comparison) => {
    if (comparison === undefined) expect(() => parse(`${line}\nthen`)).toThrow(TxnSyntaxError)
    else expect(parse(`${line}\nthen`)).toEqual({ compare: [comparison], success: [], failure: [] })
  })
})

group('an operation', () => {
  test.each([
    ['put key value', { put: { key: 'key', value: 'value' } }],
    ['put key ""', { put: { key: 'key', value: '' } }],
    ['put key prev', { put: { key: 'key', value: 'prev' } }],
    ['put then else', { put: { key: 'then', value: 'else' } }],
    ['put key C:\\dir=x,y;z#1', { put: { key: 'key', value: 'C:\\dir=x,y;z#1' } }],
    ['put @key @app.conf', { put: { key: '@key', value: 'a=1\n' } }],
    ['put key @"my file.bin"', { put: { key: 'key', value: Buffer.of(0, 0xff) } }],
    ['put key "@app.conf"', { put: { key: 'key', value: '@app.conf' } }],
    ['put base64:/w== base64:', { put: { key: Buffer.of(0xff), value: '' } }],
    ['put key base64:Ymx1ZQ==', { put: { key: 'key', value: 'blue' } }],
    ['put key "a\\xffb"', { put: { key: 'key', value: Buffer.of(0x61, 0xff, 0x62) } }],
    ['put key "\\"\\\\\\/\\b\\f\\n\\r\\t"', { put: { key: 'key', value: '"\\/\b\f\n\r\t' } }],
    ['put key "\\u00FC\\xc3\\xbc ü\\ud83d\\ude00😀"', { put: { key: 'key', value: 'üü ü😀😀' } }],
    ['put key value lease 12 prev', { put: { key: 'key', value: 'value', lease: '12', prev: true } }],
    [
      'put key value prev ttl 1.5h # an hour',
      { put: { key: 'key', value: 'value', ttlMs: 5_400_000, prev: true } },
    ],
    ['get key', { get: { key: 'key' } }],
    ['get "prefix"', { get: { key: 'prefix' } }],
    ['get prefix jobs/ limit 10 keys-only', { get: { prefix: 'jobs/', limit: 10, keysOnly: true } }],
    ['get prefix a limit 1 count', { get: { prefix: 'a', limit: 1, count: true } }],
    ['get prefix "" count-only', { get: { prefix: '', countOnly: true } }],
    ['get prefix limit limit 3', { get: { prefix: 'limit', limit: 3 } }],
    ['get range "" z', { get: { start: '', end: 'z' } }],
    ['get from a', { get: { start: 'a' } }],
    ['get before z', { get: { end: 'z' } }],
    ['delete key prev', { delete: { key: 'key', prev: true } }],
    ['delete prefix jobs/', { delete: { prefix: 'jobs/' } }],
    ['txn{\nthen\n}', { txn: { compare: [], success: [], failure: [] } }],
  ])('%s', (line, operation) => {
    expect(parse(`then\n${line}`)).toEqual({ compare: [], success: [operation], failure: [] })
    expect(parse(`then\nelse\n${line}`)).toEqual({ compare: [], success: [], failure: [operation] })
  })
})

test('sections, blank lines, comments, CRLF and a byte order mark', () => {
  const text =
    '\ufeff# first\r\n\r\nexists a\r\n  missing b # and\r\n\r\nthen # do\r\n\tget a\r\nelse\r\n\r\nget b\r\n'
  expect(parse(text)).toEqual({
    compare: [
      { key: 'a', exists: true },
      { key: 'b', exists: false },
    ],
    success: [{ get: { key: 'a' } }],
    failure: [{ get: { key: 'b' } }],
  })
})

test('transactions in one another', () => {
  const text = `
then
  txn {
    exists a
    then
      txn {
        then
          get deep
      }
      get a
    else
      get b
  }
  get c
`
  expect(parse(text)).toEqual({
    compare: [],
    success: [
      {
        txn: {
          compare: [{ key: 'a', exists: true }],
          success: [
            { txn: { compare: [], success: [{ get: { key: 'deep' } }], failure: [] } },
            { get: { key: 'a' } },
          ],
          failure: [{ get: { key: 'b' } }],
        },
      },
      { get: { key: 'c' } },
    ],
    failure: [],
  })
})

test('as many of them as allowed', () => {
  const nested = (levels: number) => `then\n${'txn {\nthen\n'.repeat(levels)}${'}\n'.repeat(levels)}`
  const txn = parse(nested(NESTING_MAX - 1))
  expect(parse(formatTxn(txn))).toEqual(txn)
  expect(parse(JSON.stringify(httpForm(txn)))).toEqual(txn)
})

test('without a reader no file is read', () => {
  expect(() => parseTxn('then\nput a @app.conf')).toThrow(
    'expected a file that can be read, found `app.conf`: files cannot be read here',
  )
})

test.each(WRONG_TEXTS)('the message about $text', ({ text, place, message, hint }) => {
  const error = errorOf(text)
  const found = `${error.place?.line}:${error.place?.column}`
  expect({ place: found, message: error.message, hint: error.hint }).toEqual({ place, message, hint })
})

group('an error is shown', () => {
  test('with its line, a mark and the hint', () => {
    expect(describe(errorOf('\tput(鍵)'), 'job.txn').split('\n').slice(1)).toEqual([
      '   put(鍵)',
      '   ^',
      '(operations come after a line `then`)',
    ])
  })

  test('where a terminal shows it, and without what would control the terminal', () => {
    expect(describe(errorOf('value("鍵") is \u001b'), 'job.txn').split('\n')).toEqual([
      'line 1, column 12 of job.txn: expected `=`, `!=`, `<` or `>`, found `is`',
      '  value("鍵") is \\x1b',
      '              ^',
    ])
  })

  test('without the ends of a long line', () => {
    const long = `then\nput ${'k'.repeat(100)} v ttl ${'9'.repeat(100)}`
    expect(describe(errorOf(long), 'job.txn').split('\n').slice(1)).toEqual([
      `  …${'k'.repeat(53)} v ttl ${'9'.repeat(40)}…`,
      `  ${' '.repeat(61)}^`,
    ])
  })

  test('without a line that is empty', () => {
    expect(describe(errorOf('exists a\n'), 'job.txn')).toMatch(
      /^line 2, column 1 of job.txn: expected .*, found the end of the text$/,
    )
  })
})

test('a transaction is written with indents, and in quotes what needs them', () => {
  const text = `\
version(jobs/42) = 0
value(range "" "a b") != "\\xff"
lease(from "prefix") < 5
value(before z) > base64:AP//AwQFBgcICQ==
exists "#1"
missing "@file"
then
  put "base64:" "two words" ttl 30000ms prev
  put a "\\"\\\\\\n\\u202e\\u0000" lease 7
  txn {
    then
      get prefix a limit 3 keys-only
      get prefix a limit 3 count
      get a count-only
    else
      delete prefix "" prev
  }
else
  delete a
`
  expect(formatTxn(parse(text))).toBe(text)
})
