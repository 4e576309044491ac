// Bodies of all sizes, whole or in chunks, cut anywhere, with and without `Expect`: the stored value equals the sent
// one.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { runs } from '../../runs.ts'
import { atRest, Client, COLD, holding, onNodeHttp, settled, statusOf, until } from './raw-client.ts'
import { serve } from './served.ts'

const VALUE_BYTES_MAX = 1 << 20

const lengths = fc.oneof(
  fc.integer({ min: 0, max: 300 }),
  fc.integer({ min: 60_000, max: 70_000 }),
  fc.integer({ min: VALUE_BYTES_MAX - 3, max: VALUE_BYTES_MAX + 3 }),
  fc.integer({ min: 0, max: 2 * VALUE_BYTES_MAX }),
)

interface Sent {
  readonly length: number
  readonly fill: number
  /** Size of each chunk; undefined: the body is not sent in chunks. */
  readonly chunks: number | undefined
  readonly expects: boolean
}

const sent: fc.Arbitrary<Sent> = fc.record({
  length: lengths,
  fill: fc.integer({ min: 1, max: 255 }),
  chunks: fc.option(fc.integer({ min: 1_000, max: 300_000 }), { nil: undefined }),
  expects: fc.boolean(),
})

const LARGEST: Sent = { length: VALUE_BYTES_MAX, fill: 7, chunks: undefined, expects: false }

/** Not every byte is the same, so that a piece in the wrong place shows. */
const valueFor = ({ length, fill }: Sent): string =>
  Array.from({ length: 16 }, (_, i) => String.fromCharCode((fill * (i + 1)) & 0xff))
    .join('')
    .repeat(Math.ceil(length / 16))
    .slice(0, length)

function inChunks(value: string, size: number): string {
  let text = ''
  for (let at = 0; at < value.length; at += size) {
    const chunk = value.slice(at, at + size)
    text += `${chunk.length.toString(16)};x=y\r\n${chunk}\r\n`
  }
  return `${text}0\r\nTrailer: x\r\n\r\n`
}

function headOf({ length, chunks, expects }: Sent): string {
  const framing = chunks === undefined ? `Content-Length: ${length}` : 'Transfer-Encoding: chunked'
  const expect = expects ? 'Expect: 100-continue\r\n' : ''
  return `PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\n${expect}${framing}\r\n\r\n`
}

async function put(client: Client, body: Sent, cuts: readonly number[]): Promise<void> {
  const value = valueFor(body)
  const bytes = body.chunks === undefined ? value : inChunks(value, body.chunks)
  const tooLarge = body.length > VALUE_BYTES_MAX
  await client.send(headOf(body))
  const { expects } = body
  if (expects && !(tooLarge && body.chunks === undefined)) expect(statusOf(await client.answer())).toBe(100)
  else if (expects) {
    // The body is refused before it is sent, and the server cannot know whether it will be.
    expect(statusOf(await client.answer())).toBe(413)
    client.leave()
    return
  }
  let at = 0
  for (const length of cuts) {
    await client.send(bytes.slice(at, at + length))
    at += length
  }
  await client.send(bytes.slice(at))
  expect(statusOf(await client.answer())).toBe(tooLarge ? 413 : 200)
  await client.send('GET /v1/kv/a HTTP/1.1\r\nHost: localhost\r\n\r\n', COLD)
  const got = (await client.answer()) ?? ''
  if (!tooLarge) expect(got.slice(got.indexOf('\r\n\r\n') + 4) === value).toBe(true)
  expect(statusOf(await client.answer())).toBe(200)
  client.leave()
}

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

function memory(): number {
  collectGarbage()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

// These are the first here: what others leave behind is collected at any time.
test.each([
  ['a request that wants none, and is not answered yet', '', 'GET', 404, 'x'],
  [
    'a request that waits for its turn',
    'PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\n\r\n',
    'PUT',
    200,
    'x'.repeat(40_000),
  ],
])(
  'a body in chunks of one byte of %s takes little more memory than its bytes',
  async (_, before, method, status, stored) => {
    const served = await serve()
    const client = await onNodeHttp(served)
    const { release } = holding(served.node)
    await client.send(before)
    const framing = 'Host: localhost\r\nTransfer-Encoding: chunked\r\n\r\n'
    const first = `${method} /v1/kv/b HTTP/1.1\r\n${framing}`
    if (before === '') await client.send(first)
    const { value: go } = await release.next()
    if (before !== '') await client.send(first)
    const empty = memory()
    await client.send('1\r\nx\r\n'.repeat(40_000))
    const held = await settled(served, () => served.http.inspect().bodyBytes, 30)
    // The frames of the chunks count too, as long as they may be the beginning of trailers.
    expect(held).toBeGreaterThan(method === 'PUT' ? 39_000 : -1)
    expect(held).toBeLessThan(40_000 + 10 * 65_536)
    expect(memory() - empty).toBeLessThan(4_000_000)
    served.node.hold = undefined
    go()
    if (before !== '') expect(statusOf(await client.answer())).toBe(200)
    await client.send('0\r\n\r\n')
    expect(statusOf(await client.answer())).toBe(status)
    const headers = { Connection: 'close' }
    if (method === 'PUT') expect((await served.ask('GET', '/v1/kv/b', { headers })).text).toBe(stored)
    client.leave()
    await atRest(served)
  },
)

test('bodies that wait for their turn are bounded, and all of them are taken when it comes', async () => {
  const served = await serve({ limits: { bodiesBytesMax: 8 * VALUE_BYTES_MAX } })
  const { node, http } = served
  const { release } = holding(node)
  const client = await onNodeHttp(served)
  void client.send(...Array<string>(12).fill(`${headOf(LARGEST)}${valueFor(LARGEST)}`))
  const { value: go } = await release.next()
  expect(await settled(served, () => http.inspect().bodyBytes, 30)).toBeLessThan(4 * VALUE_BYTES_MAX)
  node.hold = undefined
  go()
  expect((await client.answers(12)).map(statusOf)).toEqual(Array(12).fill(200))
  client.leave()
  await atRest(served)
})

test('a body that waits for its turn and has no room is refused when it comes', async () => {
  const served = await serve({ limits: { bodiesBytesMax: 50_000 } })
  const { release } = holding(served.node)
  const client = await onNodeHttp(served)
  const body = { ...LARGEST, length: 60_000 }
  for (const chunks of [undefined, 1_000]) {
    const [small, large] = [
      { ...body, length: 9 },
      { ...body, chunks },
    ].map((one) => {
      const value = valueFor(one)
      return `${headOf(one)}${one.chunks === undefined ? value : inChunks(value, one.chunks)}`
    })
    await client.send(`${small}${large}${small}`)
    const { value: go } = await release.next()
    await settled(served, () => served.http.inspect().bodyBytes, 30)
    go()
    expect(statusOf(await client.answer())).toBe(200)
    expect(statusOf(await client.answer())).toBe(429)
    ;(await release.next()).value()
    expect(statusOf(await client.answer())).toBe(200)
  }
  client.leave()
  await atRest(served)
})

test('a client that expects "100 Continue" receives it before the requests of a stream', async () => {
  const served = await serve()
  const client = new Client(served.port)
  const framing = 'Host: localhost\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n'
  await client.send(`POST /v3/lease/keepalive HTTP/1.1\r\n${framing}`)
  expect(statusOf(await client.answer())).toBe(100)
  await client.send('8\r\n{"ID":7}\r\n0\r\n\r\n')
  expect(statusOf(await client.answer())).toBe(200)
  expect(await client.answer()).toContain('"ID":"7"')
})

test('bodies that wait when their client leaves are forgotten', async () => {
  const served = await serve()
  const { release } = holding(served.node)
  const client = await onNodeHttp(served)
  const body = { ...LARGEST, length: 2_000 }
  await client.send(`${headOf(body)}${valueFor(body)}`.repeat(4), headOf(body), 'half')
  const { value: go } = await release.next()
  await until(served, () => served.http.inspect().bodyBytes > 2 * 2_000)
  client.reset()
  // Only the change that is being made counts.
  await until(served, () => served.http.inspect().bodyBytes < 2 * 2_000)
  const { revision } = served.node
  go()
  await atRest(served)
  expect(served.node.revision).toBe(revision + 1)
})

test('a body in chunks of one byte takes little more memory than its bytes', async () => {
  const served = await serve()
  const client = await onNodeHttp(served)
  const chunks = 40_000
  const before = memory()
  await client.send(
    'PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n',
    '1\r\nx\r\n'.repeat(chunks),
  )
  await until(served, () => served.http.inspect().bodyBytes >= chunks)
  expect(memory() - before).toBeLessThan(100 * chunks)
  await client.send('0\r\n\r\n')
  expect(statusOf(await client.answer())).toBe(200)
  expect((await served.ask('GET', '/v1/kv/a')).text).toBe('x'.repeat(chunks))
})

test('is stored as it was sent, or refused, and the connection goes on', async () => {
  const served = await serve()
  const cuts = fc.array(fc.integer({ min: 1, max: 100_000 }), { maxLength: 6 })
  await fc.assert(
    fc.asyncProperty(sent, cuts, fc.boolean(), async (body, at, onLane) => {
      await put(onLane ? new Client(served.port) : await onNodeHttp(served), body, at)
    }),
    { numRuns: runs(40), examples: [[{ length: 0, fill: 1, chunks: undefined, expects: true }, [], false]] },
  )
  await atRest(served)
})
