// An import reads everything that an export writes, whatever the bytes of keys and values, and the chunks of the input.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { printedRecordJson } from '../../src/cli/format/json.ts'
import type { ImportItem } from '../../src/cli/transfer/import-lines.ts'
import { LINE_BYTES_MAX, readItemsFromLines } from '../../src/cli/transfer/import-lines.ts'
import { character } from '../characters.ts'
import { runs } from '../runs.ts'

/** Text that ends a line somewhere, has more than one byte, or is not UTF-8. */
const ODD = [
  '\n',
  '\r',
  '\r\n',
  '\u2028',
  '\u2029',
  '\u0085',
  '\v',
  '\f',
  '\u001e',
  '\0',
  '\ufeff',
  '"',
  '\\',
  'ü',
  '€',
  '😀',
  '{}\n',
]
const piece = fc.oneof(
  fc.constantFrom(...ODD).map((text) => Buffer.from(text)),
  fc.string({ unit: character, maxLength: 8 }).map((text) => Buffer.from(text)),
  fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes)),
)
const bytes = (piecesMax: number) =>
  fc
    .tuple(
      fc.array(piece, { maxLength: piecesMax }),
      fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, fc.nat(100_000)),
    )
    .map(([pieces, fill]) => Buffer.concat([...pieces, Buffer.alloc(fill, 'ü')]))
const record = fc.record({ key: bytes(4), value: bytes(12) })

test('records come back as they were written, and in their order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(record, { maxLength: 12 }),
      fc.constantFrom('\n', '\r\n', '\n\n'),
      fc.infiniteStream(fc.oneof(fc.integer({ min: 1, max: 16 }), fc.integer({ min: 1, max: 70_000 }))),
      async (records, newline, sizes) => {
        const lines = records.map(({ key, value }) => JSON.stringify(printedRecordJson(recordOf(key, value))))
        const file = [...lines, JSON.stringify({ end: true, count: records.length, revision: 1 }), ''].join(
          newline,
        )
        const items = await all(chunksOf(Buffer.from(file), sizes))
        expect(items.map(contentOf)).toEqual(records.map(({ key, value }) => [hex(key), hex(value)]))
      },
    ),
    { numRuns: runs(300) },
  )
})

test.each([
  ['nothing', '', 'it is empty'],
  ['empty lines', '\r\n \n', 'it is empty'],
  [
    'a record after the end',
    '{"key":"k","value":"v"}\n{"end":true,"count":1}\n{"key":"l","value":"v"}',
    'line 3 of it comes after the end line',
  ],
  [
    'an end without a count',
    '{"key":"k","value":"v"}\n{"end":true}\n',
    'it is incomplete: 1 records, but its end line says undefined',
  ],
  [
    'one array',
    '[\n{"key":"k","value":"v"}]',
    'line 1 of it begins a JSON array: write one JSON object a line (NDJSON)',
  ],
  ['an array', '{"key":"k","value":"v"}\n\n[]', 'line 3 of it is not a record: no JSON object'],
  ['a record without a key', '{"value":"v"}', 'line 1 of it is not a record: it has no "key"'],
  ['a record without a value', '{"key":"k"}', 'line 1 of it is not a record with "key" and "value"'],
  [
    'half a surrogate pair',
    '{"key":"\\ud800","value":"v"}',
    'line 1 of it is not a record with "key" and "value"',
  ],
  ['Latin-1', Buffer.from('{"key":"k","value":"\xff"}', 'latin1'), 'line 1 of it is not UTF-8'],
  ['UTF-16', Buffer.from('{"key":"k","value":"v"}', 'utf16le'), 'line 1 of it is not a record'],
  [
    'a line too long',
    Buffer.alloc(LINE_BYTES_MAX + 1, 'x'),
    `line 1 of it has more than ${LINE_BYTES_MAX} bytes`,
  ],
])('%s is refused', async (_, content, message) => {
  await expect(all(chunksOf(Buffer.from(content)))).rejects.toThrow(message)
})

test('a line of the largest record, every byte escaped, is not too long', async () => {
  const [key, value] = [Buffer.alloc(4096), Buffer.alloc(1024 * 1024)]
  const line = Buffer.from(
    `${JSON.stringify(printedRecordJson(recordOf(key, value)))}\n{"end":true,"count":1}`,
  )
  expect((await all(chunksOf(line))).map(contentOf)).toEqual([[hex(key), hex(value)]])
})

test('without an end line the reader is told so at the end', async () => {
  const items = await all(chunksOf(Buffer.from('\ufeff{"key":"k","value":"v","end":true,"error":1}')))
  expect(items.map(({ kind }) => kind)).toEqual(['write', 'open-end'])
})

test('a record that had a lease is left out, unless it may become a plain key', async () => {
  const lines =
    '{"key":"a","value":"1","lease":"7"}\n{"key":"b","value":"2","lease":null}\n{"end":true,"count":2}'
  expect(await all(chunksOf(Buffer.from(lines)))).toMatchObject([
    { kind: 'skip', name: 'a', reason: 'it had a lease; --leased imports it as a plain key' },
    { kind: 'write', name: 'b' },
  ])
  expect(await all(chunksOf(Buffer.from(lines)), true)).toMatchObject([
    { kind: 'write', name: 'a' },
    { kind: 'write', name: 'b' },
  ])
})

async function all(input: AsyncIterable<Buffer>, leased?: boolean): Promise<ImportItem[]> {
  const items: ImportItem[] = []
  for await (const item of readItemsFromLines(input, 'it', leased)) items.push(item)
  return items
}

async function* chunksOf(file: Buffer, sizes: Iterable<number> = [file.length]): AsyncGenerator<Buffer> {
  let at = 0
  for (const size of sizes) {
    yield file.subarray(at, at + size)
    at += size
    if (at >= file.length) return
  }
}

function recordOf(keyBytes: Uint8Array, value: Uint8Array) {
  const [text, json] = [() => '', () => undefined]
  return {
    key: '',
    keyBytes,
    value,
    lease: undefined,
    text,
    json,
    createRevision: 1,
    modRevision: 1,
    version: 1,
  }
}

function contentOf(item: ImportItem): readonly string[] {
  return item.kind === 'write' ? [hex(item.key), hex(item.value())] : [item.kind]
}

const hex = (data: Uint8Array): string => Buffer.from(data).toString('hex')
