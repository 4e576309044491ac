// A list as one stream, chunk by chunk, in virtual time: how it is cut into chunks, what its lines contain, and how
// long it may take.

import { getEventListeners } from 'node:events'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import { Endpoint } from '../../src/client/endpoints.ts'
import { AbortedError, type KvRecord, type ListOptions } from '../../src/client/index.ts'
import { ChunkReader, streamed } from '../../src/client/list.ts'
import { runs } from '../runs.ts'
import { errorOf, inVirtualTime, scripted, streaming } from './scripted-transport.ts'
import { clientOf, failure, fake } from './with-fakes.ts'

const URL_1 = 'http://127.0.0.1:1'
const endpoint = new Endpoint(new URL(URL_1))
const NEVER = { reason: () => undefined, listen: () => () => {} }

type Chunk = string | Buffer | { readonly afterMs: number; readonly text: string } | 'error'

/** Reads a stream of these chunks, record by record; null at the end: no more data arrives. */
function read(
  chunks: readonly (Chunk | null)[],
  options: ListOptions = {},
  interruption: Parameters<typeof streamed>[3] = NEVER,
  timeoutMs = 1_000,
) {
  const { result, stream } = streaming()
  const left = [...chunks]
  stream._read = () => {
    const chunk = left.shift()
    if (chunk === null) return
    const push = () => {
      if (chunk === undefined) stream.push(null)
      else if (chunk === 'error') stream.destroy(new Error('the cable'))
      else stream.push(typeof chunk === 'object' && 'text' in chunk ? chunk.text : chunk)
    }
    if (typeof chunk === 'object' && 'afterMs' in chunk) setTimeout(push, chunk.afterMs)
    else setImmediate(push)
  }
  if (result.kind !== 'streaming') throw new Error('not a stream')
  const records = streamed({ ...result, endpoint }, new ChunkReader(timeoutMs), options, interruption)
  const all = async () => {
    const keys: string[] = []
    for await (const { key } of records) keys.push(key)
    return keys
  }
  return { stream, records, all }
}

const record = (key: string, value: unknown = 'v') =>
  `${JSON.stringify({ key, value, create_revision: 1, mod_revision: 1, version: 1 })}\n`
const end = (count: unknown) => `${JSON.stringify({ end: true, count, revision: 1 })}\n`

test('a list of one revision that breaks again and again is continued for as long as records come in between', async () => {
  const streams = [['a'], [], [], ['b'], [], [], ['c']]
  const { kv } = scripted(2, (_, nth) => {
    const { result, stream } = streaming()
    for (const key of streams[nth] ?? []) stream.push(record(key))
    if (nth === streams.length - 1) stream.push(end(1))
    stream.push(null)
    return result
  })
  const keys = async () => {
    const found: string[] = []
    for await (const { key } of kv.list({ snapshot: true, revision: 9 })) found.push(key)
    return found
  }
  expect(await inVirtualTime(keys())).toEqual(['a', 'b', 'c'])
})

test('however it is cut into chunks, its lines are the same', async () => {
  const keys = ['a', 'b\n"', 'grüße', 'x'.repeat(70)]
  const bytes = Buffer.from(keys.map((key) => record(key)).join('') + end(4))
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.integer({ min: 1, max: bytes.length - 1 })), async (cuts) => {
      const at = [0, ...cuts.toSorted((a, b) => a - b), bytes.length]
      const chunks = at.slice(1).map((to, n) => bytes.subarray(at[n], to))
      expect(await read(chunks).all()).toEqual(keys)
    }),
    { numRuns: runs(100) },
  )
  const each = [...bytes].map((byte) => Buffer.of(byte))
  expect(await read(each).all()).toEqual(keys)
  // The line break at the very end is not needed.
  expect(await read([record('a'), end(1).trimEnd()]).all()).toEqual(['a'])
})

describe('a stream', () => {
  test.each<[string, Chunk[], string]>([
    ['is incomplete', [record('a'), record('b')], 'the stream ended after 2 records without its end line'],
    ['is empty', [], 'the stream ended after 0 records without its end line'],
    ['has less than it says', [record('a'), end(2)], 'the stream has 1 records, its end says 2'],
    ['has more than it says', [record('a'), record('b'), end(1)], 'the stream has 2 records, its end says 1'],
    ['does not count', [record('a'), end(undefined)], 'the stream has 1 records, its end says undefined'],
    [
      'has a line that is no JSON',
      [record('a'), '{"key\n', end(2)],
      'a line of the stream is not a JSON object',
    ],
    ['has a line that is no object', ['[1]\n', end(1)], 'a line of the stream is not a JSON object'],
    ['has an empty line', [`${record('a')}\n`, end(1)], 'a line of the stream is not a JSON object'],
    ['begins with an empty line', [`\n${record('a')}`, end(1)], 'a line of the stream is not a JSON object'],
    [
      'breaks within a line',
      [record('a'), record('b').slice(0, 9)],
      'a line of the stream is not a JSON object',
    ],
    ['breaks', [record('a'), 'error'], 'the stream broke after 1 records: the cable'],
  ])('that %s', async (_, chunks, message) => {
    const { all, stream } = read(chunks)
    const error = await failure(all())
    expect(error).toMatchObject({
      name: 'QuorateError',
      code: 'incomplete',
      written: 'no',
      endpoint: URL_1,
      message,
    })
    expect(stream.destroyed).toBe(true)
    if (message.includes('cable')) expect(error.cause).toMatchObject({ message: 'the cable' })
  })

  test.each([
    [
      { code: 'x', detail: 'why', status: 503 },
      { code: 'x', message: 'why', status: 503 },
    ],
    [
      { code: 'x', detail: 'why' },
      { code: 'x', message: 'why', status: 500 },
    ],
    [
      { code: 'no_leader', status: 503 },
      { name: 'UnavailableError', code: 'no_leader' },
    ],
    [{}, { code: 'unexpected_answer', status: 500 }],
  ])('that ends with the error %j', async (error, becomes) => {
    const { all } = read([record('a'), `${JSON.stringify({ error })}\n`])
    expect(await failure(all())).toMatchObject({ written: 'no', endpoint: URL_1, ...becomes })
  })

  test('of records without values is valid only if keys were requested', async () => {
    const chunks = [record('a', null), end(1)]
    expect(await read(chunks, { keysOnly: true }).all()).toEqual(['a'])
    for (const options of [{}, { keysOnly: false }]) {
      const message = expect.stringContaining('bytes are neither a string nor')
      expect(await failure(read(chunks, options).all())).toMatchObject({ code: 'unexpected_answer', message })
    }
  })

  test.each([0, 1, 2])(
    'of which %d records are wanted is closed after them, whatever would follow',
    async (limit) => {
      const { all, stream } = read([record('a'), limit === 1 ? null : record('b'), null], { limit })
      expect((await all()).length).toBe(limit)
      expect(stream.destroyed).toBe(true)
    },
  )

  test('that its reader leaves is closed', async () => {
    const { records, stream } = read([record('a'), null])
    for await (const _ of records) break
    expect(stream.destroyed).toBe(true)
  })

  test('is required: a page is refused', async () => {
    const result = { records: [], more: false, last: undefined, count: undefined }
    const head = { clusterId: '77', node: 'n1' }
    const page = { kind: 'served', result, head, endpoint } as const
    const error = await failure(streamed(page, new ChunkReader(1_000), {}, NEVER).next())
    expect(error).toMatchObject({ code: 'incomplete', message: 'the node does not stream', endpoint: URL_1 })
  })
})

describe('an interruption', () => {
  const aborted = new AbortedError('enough', { code: 'aborted', written: 'no' })

  test.each<[string, (Chunk | null)[]]>([
    ['between two records of a chunk', [record('a') + record('b'), null]],
    ['while nothing comes', [record('a'), null]],
    ['at the end line', [record('a') + end(1)]],
    ['before the end', [record('a')]],
  ])('%s', async (_, chunks) => {
    let reason: AbortedError | undefined
    let interrupt = () => {}
    let listeners = 0
    const { records, stream } = read(
      chunks,
      {},
      {
        reason: () => reason,
        listen: (interrupted) => {
          interrupt = interrupted
          listeners += 1
          return () => void listeners--
        },
      },
      Number.POSITIVE_INFINITY,
    )
    const keys: string[] = []
    const reading = async () => {
      for await (const { key } of records) {
        keys.push(key)
        setImmediate(() => {
          reason = aborted
          interrupt()
        })
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    await expect(reading()).rejects.toBe(aborted)
    expect(keys).toEqual(['a'])
    expect(stream.destroyed).toBe(true)
    expect(listeners).toBe(0)
  })

  test('leaves no listener behind, nor does a list that ends', async () => {
    const node = await fake()
    for (const key of ['a', 'b', 'c']) node.set(key, 'v')
    const kv = clientOf([node])
    const { signal } = new AbortController()
    for (const snapshot of [true, false]) {
      const reading: AsyncIterable<KvRecord> = kv.list({ snapshot, signal })
      for await (const _ of reading) break
      for await (const _ of kv.list({ snapshot, signal }));
      expect(getEventListeners(signal, 'abort')).toEqual([])
      expect(kv[inspect]()).toMatchObject({ calls: 0, requests: 0 })
    }
  })
})

describe('time', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  /** A line of this many bytes. */
  const line = (key: string, bytes: number) => record(key, 'v'.repeat(bytes - record(key, '').length))

  test('begins again with every four mebibytes', async () => {
    const megabytes = (size: number, count: number) =>
      Array.from({ length: count }, (_, n) => ({ afterMs: 450, text: line(`k${n}`, size) }))
    const half = 2 * 1024 * 1024
    const { all } = read([...megabytes(half, 4), end(4)])
    expect(await inVirtualTime(all())).toHaveLength(4)
    const late = await errorOf(read([...megabytes(half - 1, 3), end(3)]).all())
    expect(late).toMatchObject({
      ...{ name: 'UnavailableError', code: 'timeout', written: 'no', endpoint: URL_1 },
      message: 'the stream stood still for 1 s after 2 records',
    })
  })

  test('begins again with every thousand records', async () => {
    const chunks = (size: number, count: number) =>
      Array.from({ length: count }, (_, n) => ({
        afterMs: 700,
        text: Array.from({ length: size }, (_, at) => record(`k${1_000_000 + n * size + at}`)).join(''),
      }))
    expect(await inVirtualTime(read([...chunks(1_000, 3), end(3_000)]).all())).toHaveLength(3_000)
    expect(await errorOf(read([...chunks(999, 3), end(2_997)]).all())).toMatchObject({
      message: 'the stream stood still for 1 s after 999 records',
    })
  })

  test('that the reader takes does not count', async () => {
    const { records } = read([record('a'), { afterMs: 900, text: record('b') }, end(2)])
    const reading = async () => {
      const keys: string[] = []
      for await (const { key } of records) {
        keys.push(key)
        await new Promise((resolve) => setTimeout(resolve, 5_000))
      }
      return keys
    }
    expect(await inVirtualTime(reading())).toEqual(['a', 'b'])
    expect(vi.getTimerCount()).toBe(0)
  })

  test('is up', async () => {
    const error = await errorOf(read([record('a'), null], {}, NEVER, 1_500).all())
    expect(error).toMatchObject({
      code: 'timeout',
      message: 'the stream stood still for 1.5 s after 1 records',
    })
  })

  test('of any length ends for a connection that is gone', async () => {
    const slow = { afterMs: 60_000, text: record('b') }
    const keysOf = (timeoutMs: number, ...more: (Chunk | null)[]) =>
      read([record('a'), slow, ...more], {}, NEVER, timeoutMs).all()
    expect(await inVirtualTime(keysOf(Number.POSITIVE_INFINITY, end(2)))).toEqual(['a', 'b'])
    for (const timeoutMs of [Number.POSITIVE_INFINITY, 200_000]) {
      expect(await errorOf(keysOf(timeoutMs, null))).toMatchObject({
        code: 'timeout',
        message: 'the stream stood still for 70 s after 2 records',
      })
    }
    expect(await errorOf(keysOf(90_000, null))).toMatchObject({
      message: 'the stream stood still for 90 s after 2 records',
    })
  })
})
