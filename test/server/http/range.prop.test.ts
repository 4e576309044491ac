// Ranges against a naive model: rows and byte limits of all sizes, every combination of parameters, as pages and as
// streams.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { runs } from '../../runs.ts'
import { FakeNode } from './fake-node.ts'
import { type Served, serve } from './served.ts'

interface Row {
  readonly key: Buffer
  readonly value: Buffer
}

interface Asked {
  readonly prefix: Buffer | undefined
  readonly start: Buffer | undefined
  readonly end: Buffer | undefined
  readonly after: Buffer | undefined
  readonly limit: number | undefined
  readonly order: 'asc' | 'desc' | undefined
  readonly keysOnly: boolean
  readonly count: boolean
}

/** The contract, row by row. */
const Model = {
  whole(rows: readonly Row[], { prefix, start, end }: Asked): Row[] {
    return rows.filter(
      ({ key }) =>
        (prefix === undefined || key.subarray(0, prefix.length).equals(prefix)) &&
        (start === undefined || Buffer.compare(key, start) >= 0) &&
        (end === undefined || Buffer.compare(key, end) < 0),
    )
  },

  rest(rows: readonly Row[], asked: Asked): Row[] {
    const sorted = Model.whole(rows, asked).sort((a, b) => Buffer.compare(a.key, b.key))
    if (asked.order === 'desc') sorted.reverse()
    const behind = asked.order === 'desc' ? -1 : 1
    const { after } = asked
    return after === undefined ? sorted : sorted.filter(({ key }) => Buffer.compare(key, after) === behind)
  },
}

const json = (bytes: Buffer) =>
  Buffer.from(bytes.toString('utf8')).equals(bytes)
    ? bytes.toString('utf8')
    : { base64: bytes.toString('base64') }

const bytesOf = (text: string | { base64: string }): Buffer =>
  typeof text === 'string' ? Buffer.from(text) : Buffer.from(text.base64, 'base64')

const escaped = (bytes: Buffer): string => [...bytes].map((byte) => `%${hex(byte)}`).join('')
const hex = (byte: number): string => byte.toString(16).padStart(2, '0')

function queryOf({ prefix, start, end, after, limit, order, keysOnly, count }: Asked): string {
  const bytes = Object.entries({ prefix, start, end, after })
  const given = bytes.flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${escaped(value)}`]))
  if (limit !== undefined) given.push(`limit=${limit}`)
  if (order !== undefined) given.push(`order=${order}`)
  if (keysOnly) given.push('keys_only')
  if (count) given.push('count')
  return given.join('&')
}

type Shown = { readonly key: string | { base64: string }; readonly value?: unknown }

function expectRows(shown: readonly Shown[], rows: readonly Row[], keysOnly: boolean): void {
  expect(shown.map(({ key }) => key)).toEqual(rows.map(({ key }) => json(key)))
  for (const [i, { value }] of shown.entries()) {
    const row = rows[i]
    // Compared by hand: a difference of a mebibyte would be printed.
    const same = keysOnly
      ? value === undefined
      : row && JSON.stringify(json(row.value)) === JSON.stringify(value)
    expect(same, `the value of row ${i}`).toBe(true)
  }
}

const jsonBytes = (record: Shown): number => Buffer.byteLength(JSON.stringify(record))

/** From the first page to the last. */
async function expectPages(served: Served, rows: readonly Row[], asked: Asked, pageBytesMax: number) {
  let { after } = asked
  for (let left = Model.rest(rows, asked); ; ) {
    const page = await served.ask('GET', `/v1/kv?${queryOf({ ...asked, after })}`)
    expect(page.status).toBe(200)
    const { kvs, more, next, count, revision } = page.json
    expectRows(kvs, left.slice(0, kvs.length), asked.keysOnly)
    expect(revision).toBe(served.node.revision)
    expect(count).toBe(asked.count ? Model.whole(rows, asked).length : undefined)
    expect(more).toBe(kvs.length < left.length)
    const sizes: number[] = kvs.map(jsonBytes)
    const bytes = sizes.reduce((sum, size) => sum + size, 0)
    expect(kvs.length === 1 || bytes <= pageBytesMax, `${bytes} bytes`).toBe(true)
    const { limit = 1000 } = asked
    expect(kvs.length).toBeLessThanOrEqual(limit)
    if (!more) return expect(next).toBeUndefined()
    // It ends early for a reason.
    const [nextRow] = left.slice(kvs.length)
    const nextBytes = nextRow === undefined ? 0 : await recordBytes(served, nextRow, asked.keysOnly)
    expect(kvs.length === limit || bytes + nextBytes > pageBytesMax).toBe(true)
    after = bytesOf(next)
    expect(json(after)).toEqual(kvs.at(-1).key)
    left = left.slice(kvs.length)
  }
}

async function recordBytes(served: Served, { key }: Row, keysOnly: boolean): Promise<number> {
  const headers = { Accept: 'application/json' }
  const { json: record } = await served.ask('GET', `/v1/kv?key=${escaped(key)}`, { headers })
  const { value: _, ...meta } = record
  return jsonBytes(keysOnly ? meta : record)
}

async function expectStream(served: Served, rows: readonly Row[], asked: Asked): Promise<void> {
  const expected = Model.rest(rows, asked).slice(0, asked.limit)
  const headers = { Accept: 'application/x-ndjson' }
  const { status, text } = await served.ask('GET', `/v1/kv?${queryOf(asked)}`, { headers })
  expect(status).toBe(200)
  const lines = text.split('\n')
  expect(lines.pop()).toBe('')
  const end = JSON.parse(lines.pop() ?? '')
  expect(end).toEqual({ end: true, count: expected.length, revision: served.node.revision })
  expectRows(
    lines.map((line) => JSON.parse(line)),
    expected,
    asked.keysOnly,
  )
}

async function expectCount(served: Served, rows: readonly Row[], asked: Asked): Promise<void> {
  const count = Model.whole(rows, asked).length
  const target = `/v1/kv?${queryOf({ ...asked, count: false })}&count_only`
  expect((await served.ask('GET', target)).json).toMatchObject({ kvs: [], more: false, count })
  const ndjson = { headers: { Accept: 'application/x-ndjson' } }
  expect((await served.ask('GET', target, ndjson)).json).toMatchObject({ end: true, count })
  for (const head of [{}, ndjson])
    expect(await served.ask('HEAD', target, head)).toMatchObject({ status: 200, text: '' })
}

async function expectAlike(rows: readonly Row[], asked: readonly Asked[], limits: Limits): Promise<void> {
  const node = new FakeNode()
  for (const { key, value } of rows) node.put(key, value)
  const served = await serve({ node, limits })
  for (const one of asked) {
    await expectPages(served, rows, one, limits.pageBytesMax)
    await expectStream(served, rows, one)
    await expectCount(served, rows, one)
  }
  expect(node.openScans).toBe(0)
  expect(served.http.inspect()).toMatchObject({ requests: 0, ranges: 0, answerBytes: 0 })
  await served.http.close({ graceful: false })
}

interface Limits {
  readonly pageBytesMax: number
  readonly sliceRowsMax: number
  readonly sliceBytesMax: number
}

// Few different bytes, so that prefixes and bounds meet keys.
const byte = fc.constantFrom(0x00, 0x2f, 0x61, 0x62, 0x7f, 0xc3, 0xa9, 0xff)
const bytes = (minLength: number, maxLength: number) =>
  fc.array(byte, { minLength, maxLength }).map((list) => Buffer.from(list))
const key = bytes(1, 4)

const valuesUpTo = (largest: number) =>
  fc
    .tuple(fc.oneof(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: largest })), byte)
    .map(([length, fill]) => Buffer.alloc(length, fill))

const rowsOf = (largest: number, maxLength: number) =>
  fc.uniqueArray(fc.record({ key, value: valuesUpTo(largest) }), {
    selector: (row) => row.key.toString('hex'),
    maxLength,
  })

const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 })

const bounds = fc.oneof(
  fc.record({ prefix: bytes(0, 2), start: fc.constant(undefined), end: fc.constant(undefined) }),
  fc.record({ prefix: fc.constant(undefined), start: maybe(bytes(0, 3)), end: maybe(bytes(0, 3)) }),
)

const asked: fc.Arbitrary<Asked> = fc
  .tuple(
    bounds,
    fc.record({
      after: maybe(bytes(0, 4)),
      limit: maybe(fc.integer({ min: 1, max: 12 })),
      order: fc.constantFrom('asc' as const, 'desc' as const, undefined),
      keysOnly: fc.boolean(),
      count: fc.boolean(),
    }),
  )
  .map(([where, how]) => ({ ...where, ...how }))

const limits = (most: number): fc.Arbitrary<Limits> =>
  fc.record({
    pageBytesMax: fc.integer({ min: 1, max: most }),
    sliceRowsMax: fc.integer({ min: 1, max: 8 }),
    sliceBytesMax: fc.integer({ min: 1, max: most }),
  })

test('small rows under small limits', async () => {
  await fc.assert(
    fc.asyncProperty(
      rowsOf(300, 40),
      fc.array(asked, { minLength: 1, maxLength: 4 }),
      limits(2_000),
      expectAlike,
    ),
    { numRuns: runs(60) },
  )
})

test('rows of up to a mebibyte under the limits of a node: pages end below 4 MiB', async () => {
  const MiB = 1 << 20
  const shipped: Limits = { pageBytesMax: 4 * MiB, sliceRowsMax: 512, sliceBytesMax: MiB / 4 }
  await fc.assert(
    fc.asyncProperty(rowsOf(MiB, 16), asked, (rows, one) => expectAlike(rows, [one], shipped)),
    { numRuns: runs(10) },
  )
})
