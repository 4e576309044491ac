// A transaction that is typed at a terminal, line by line.

import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { readTxn } from '../../src/cli/txn-interactive.ts'

const INTRODUCTION = `\
Comparisons come first, then what is done if all of them hold, then what is done otherwise.
An empty line ends each part. Ctrl-C gives up.
`

/** What is typed, in chunks. Returns the transaction and what was shown. */
async function typed(chunks: readonly (string | Uint8Array)[], isTTY = true) {
  const input = Object.assign(new PassThrough(), { isTTY })
  for (const chunk of chunks) input.write(chunk)
  input.end()
  let shown = ''
  const output = { write: (text: string) => (shown += text) }
  const readFile = (path: string) => Buffer.from(`content of ${path}`)
  const txn = await readTxn({ input, output, readFile })
  expect(shown.startsWith(INTRODUCTION)).toBe(true)
  return { txn, shown: shown.slice(INTRODUCTION.length), input }
}

test('an empty line ends each part', async () => {
  const { txn, shown } = await typed([
    'exists a\n',
    'missing b\n',
    '\n',
    'put a @f\r\n',
    ' \t\r\n',
    'get b\n',
    '\n',
  ])
  expect(txn).toEqual({
    compare: [
      { key: 'a', exists: true },
      { key: 'b', exists: false },
    ],
    success: [{ put: { key: 'a', value: 'content of f' } }],
    failure: [{ get: { key: 'b' } }],
  })
  expect(shown).toBe('compare> compare> compare> then> then> else> else> ')
})

test('a terminal that is not read any more lets the process end', async () => {
  const { input } = await typed(['\n\n\n', 'more'])
  expect(input.destroyed).toBe(true)
})

test('a wrong line changes nothing, and can be repeated', async () => {
  const { txn, shown } = await typed(['version(a) >= 3\nversion(a) > 2\n\nput a\nput a b\nget a prev\n\n\n'])
  expect(txn).toEqual({
    compare: [{ key: 'a', target: 'version', op: '>', to: 2 }],
    success: [{ put: { key: 'a', value: 'b' } }],
    failure: [],
  })
  expect(shown).toBe(
    [
      'compare> column 12: expected `=`, `!=`, `<` or `>`, found `>=`',
      '(For whole numbers `> 4` says the same as `>= 5`.)',
      'compare> compare> then> column 6: expected a value, found the end of the line',
      'then> then> column 7: expected `limit`, `keys-only`, `count-only` or the end of the line, found `prev`',
      '(A key with spaces is written in double quotes; a range is `prefix P` or `range FIRST END`.)',
      'then> else> ',
    ].join('\n'),
  )
})

test('lines may come in any pieces', async () => {
  const bytes = Buffer.from('value(ü) = "😀"\n\nget ü\n\n\n')
  const { txn } = await typed(Array.from(bytes, (byte) => Uint8Array.of(byte)))
  expect(txn).toEqual({
    compare: [{ key: 'ü', target: 'value', op: '=', to: '😀' }],
    success: [{ get: { key: 'ü' } }],
    failure: [],
  })
})

test('a transaction in another one has parts of its own', async () => {
  const { txn, shown } = await typed([
    '\n',
    'txn {\n',
    'exists a\n',
    '\n',
    'get a\n',
    '\n',
    '\n',
    'txn {\n',
    'then\n',
    '}\n',
    '\n\n',
  ])
  expect(txn).toEqual({
    compare: [],
    success: [
      { txn: { compare: [{ key: 'a', exists: true }], success: [{ get: { key: 'a' } }], failure: [] } },
      { txn: { compare: [], success: [], failure: [] } },
    ],
    failure: [],
  })
  expect(shown).toBe(
    'compare> then>   compare>   compare>   then>   then>   else> then>   compare>   then> then> else> ',
  )
})

test('a text can be pasted, with then and else, comments, and empty lines before them', async () => {
  const { txn, shown } = await typed(['# take it\nexists a\n\n# then\nthen # do\nget a\nelse\n', 'get b\n\n'])
  expect(txn).toEqual({
    compare: [{ key: 'a', exists: true }],
    success: [{ get: { key: 'a' } }],
    failure: [{ get: { key: 'b' } }],
  })
  expect(shown).toBe('compare> compare> compare> then> then> then> then> else> else> ')
})

test('then and else are wrong where something has been said already', async () => {
  const { shown } = await typed(['\nthen\nthen\n\n\n'])
  expect(shown).toBe(
    'compare> then> then> column 1: expected an operation or `else`, found `then`\n' +
      '(A transaction has one `then`.)\nthen> else> ',
  )
})

test('then is wrong behind a transaction that an empty line has ended', async () => {
  const { txn, shown } = await typed(['\ntxn {\nthen\n\n\nthen\n\n\n'])
  expect(txn?.success).toHaveLength(1)
  expect(shown).toContain('then> column 1: expected an operation or `else`, found `then`\n')
})

test('JSON is not typed', async () => {
  const { txn, shown } = await typed([' {"compare":[]}\n'])
  expect(txn).toBe(undefined)
  expect(shown).toBe('compare> JSON is read from a file or standard input, not line by line\ncompare> \n')
  expect((await typed(['\n{\n'])).shown).toContain('A transaction in this one begins with a line `txn {`.')
})

test.each([
  ['at once', []],
  ['among the comparisons', ['exists a\n']],
  ['in then', ['exists a\n\nput a b\n']],
  ['in a transaction in it', ['\n\ntxn {\n\n\nget a\n']],
  ['within a line', ['\n\nput a b']],
])('Ctrl-D %s: there is no transaction', async (_, chunks) => {
  const { txn, shown } = await typed(chunks)
  expect(txn).toBe(undefined)
  expect(shown).toMatch(/> \n$/)
})

test('Ctrl-D in the last part ends it', async () => {
  const { txn, shown } = await typed(['\nput a b\n\nget a\n'])
  expect(txn).toEqual({
    compare: [],
    success: [{ put: { key: 'a', value: 'b' } }],
    failure: [{ get: { key: 'a' } }],
  })
  expect(shown).toMatch(/else> \n$/)
})

test('a line that is not UTF-8 is refused', async () => {
  const { txn, shown } = await typed(['\n', Buffer.from('put a \xff\n', 'latin1'), '\n\n'])
  expect(txn).toEqual({ compare: [], success: [], failure: [] })
  expect(shown).toBe('compare> then> the line is not UTF-8\nthen> else> ')
})

test('a line that a terminal may have cut off is refused', async () => {
  const lineOf = (bytes: number): string => `put a ${'b'.repeat(bytes - 'put a '.length)}\n`
  const tooLong = await typed(['\n', lineOf(4095), '\n\n'])
  expect(tooLong.txn).toEqual({ compare: [], success: [], failure: [] })
  expect(tooLong.shown).toBe(
    'compare> then> the line is too long for a terminal, which may have cut it off: a line has less than 4095 bytes\n' +
      'then> else> ',
  )
  expect((await typed(['\n', lineOf(4094), '\n\n'])).txn?.success).toHaveLength(1)
  expect((await typed(['\n', lineOf(5000), '\n\n'], false)).txn?.success).toHaveLength(1)
})

test('an error of the reader itself is not shown as one of the line', async () => {
  const input = Object.assign(new PassThrough(), { isTTY: true })
  const reading = readTxn({ input, output: { write: () => {} }, readFile: () => Buffer.from('') })
  input.destroy(new Error('the terminal is gone'))
  await expect(reading).rejects.toThrow('the terminal is gone')
})
