// HTTP/2 of our own, frame by frame.

import { connect } from 'node:http2'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { ServerConnection } from '../../../../src/server/etcd/http2/connection.ts'
import { encodeFields } from '../../../../src/server/etcd/http2/hpack.ts'
import { ServerStream } from '../../../../src/server/etcd/http2/stream.ts'
import { runs } from '../../../runs.ts'
import {
  ACK,
  END_HEADERS,
  END_STREAM,
  type Frame,
  frame,
  headers,
  literal,
  RawHttp2,
  SETTING,
  settings,
  TYPE,
  uint32,
  windowUpdate,
} from '../raw-http2.ts'
import { Conversation } from './conversation.ts'
import { requestFields } from './drawn-frames.ts'
import { pattern, type Served, serveHttp2, type Told } from './served.ts'

const KiB = 1024
const MiB = 1024 * KiB
const MAX_FRAME_SIZE = 5
const CODE = { protocolError: 1, flowControlError: 3, streamClosed: 5, enhanceYourCalm: 11 }

const whole = (id: number, path: string): Buffer => headers(id, requestFields(path), END_HEADERS | END_STREAM)

const begin = (limits = {}, first = settings()): Promise<Conversation> =>
  Conversation.begin(ServerConnection, limits, first)

const dataOf = (client: RawHttp2, id: number): Buffer =>
  Buffer.concat(
    client.frames
      .filter(({ type, stream }) => type === TYPE.data && stream === id)
      .map(({ payload }) => payload),
  )

const streams = (count: number): number[] => Array.from({ length: count }, (_, at) => 2 * at + 1)

/** The only open stream. */
function opened(told: Told): Served {
  const [served] = told.open
  if (served === undefined) throw new Error('no stream is open')
  return served
}

describe('a client that changes the window of streams', () => {
  test('makes the server visit each stream once for all changes that arrive together', async () => {
    const conversation = await begin()
    const { client } = conversation
    const grown = vi.spyOn(ServerStream.prototype, 'growSendWindow')
    onTestFinished(() => grown.mockRestore())
    for (const id of streams(100)) client.write(headers(id, requestFields('/')))
    await conversation.settle()
    const changes = Array.from({ length: 32 }, (_, at) => [SETTING.initialWindowSize, at % 2] as const)
    client.write(...Array.from({ length: 50 }, () => settings(...changes)))
    await conversation.settle()
    expect(conversation.outcome().end).toBeUndefined()
    expect(grown.mock.calls.length).toBeLessThanOrEqual(200)
  })

  test('has the windows of the last change, also for a stream that it opens between two', async () => {
    const conversation = await begin()
    const { client } = conversation
    const window = (bytes: number) => settings([SETTING.initialWindowSize, bytes])
    client.write(whole(1, '/bytes/10'), window(0), window(3), whole(3, '/bytes/10'), window(1), window(7))
    await conversation.settle()
    // The first stream has used its first window.
    expect(dataOf(client, 1).length).toBe(10)
    expect(dataOf(client, 3).length).toBe(7)
  })
})

describe('a client that takes large responses', () => {
  test('may grow the windows of streams that the server has ended', async () => {
    const conversation = await begin()
    for (const id of streams(2_500)) conversation.client.write(whole(id, '/bytes/1'), windowUpdate(id, 1))
    await conversation.settle()
    expect(conversation.outcome().end).toBeUndefined()
    expect(conversation.told.begun).toBe(2_500)
  })

  test('gets frames of 16 KiB, whatever it allows', async () => {
    const conversation = await begin(
      {},
      settings([MAX_FRAME_SIZE, 2 ** 24 - 1], [SETTING.initialWindowSize, MiB]),
    )
    const { client, told } = conversation
    client.write(windowUpdate(0, MiB), whole(1, '/bytes/100000'))
    await client.find(({ stream, flags, type }) => stream === 1 && type !== TYPE.data && flags === 5)
    expect(dataOf(client, 1)).toEqual(pattern(100_000))
    const sizes = client.frames.filter(({ type }) => type === TYPE.data).map(({ payload }) => payload.length)
    expect(Math.max(...sizes)).toBe(16 * KiB)
    // Each write is small, so a client that takes little at a time is not stalled.
    expect(told.largestTaken).toBeLessThanOrEqual(80 * KiB)
  })

  test('gets them by turns', async () => {
    const { client } = await begin({}, settings([SETTING.initialWindowSize, MiB]))
    for (const id of streams(4)) client.write(whole(id, '/bytes/100000'))
    const missing = 4 * 100_000 - 65_535
    client.write(windowUpdate(0, missing))
    await client.find(({ stream, flags, type }) => stream === 7 && type === TYPE.headers && flags === 5)
    const order = client.frames.filter(({ type }) => type === TYPE.data).map(({ stream }) => stream)
    // The first one had the whole window of the connection.
    expect(order.slice(4, 12)).toEqual([1, 3, 5, 7, 1, 3, 5, 7])
  })

  test('gets all of them, however many wait behind one that is shut', async () => {
    const conversation = await begin({}, settings([SETTING.initialWindowSize, 0]))
    const { client } = conversation
    for (const id of streams(50)) client.write(whole(id, '/bytes/3'))
    await conversation.settle()
    client.write(windowUpdate(99, 3))
    await client.find(({ stream, flags, type }) => stream === 99 && type === TYPE.headers && flags === 5)
    client.write(settings([SETTING.initialWindowSize, 2]))
    await conversation.settle()
    expect(streams(49).map((id) => dataOf(client, id).length)).toEqual(Array(49).fill(2))
    client.write(settings([SETTING.initialWindowSize, 0]), settings([SETTING.initialWindowSize, 3]))
    await conversation.settle()
    expect(streams(49).map((id) => dataOf(client, id).length)).toEqual(Array(49).fill(3))
    expect(conversation.told).toMatchObject({ untaken: 0 })
  })

  test('gets many small parts that have waited', async () => {
    const conversation = await begin({}, settings([SETTING.initialWindowSize, 0]))
    const { client, told } = conversation
    client.write(headers(1, requestFields('/hold')))
    await conversation.settle()
    const { stream } = opened(told)
    const count = 50_000
    let taken = 0
    stream.sendHead(encodeFields({ ':status': '200' }), false)
    for (let at = 0; at < count; at++) stream.sendData(Buffer.of(at % 256), () => taken++)
    expect(stream.untakenBytes).toBe(count)
    client.write(windowUpdate(1, count))
    await expect.poll(() => dataOf(client, 1).length).toBe(count)
    expect(dataOf(client, 1)).toEqual(Buffer.from(Array.from({ length: count }, (_, at) => at % 256)))
    expect([taken, told.untaken, stream.untakenBytes]).toEqual([count, 0, 0])
  })

  test.each([1, 63, 64, 300, 500, 700, 999, 1_000])(
    'and resets a stream after %i of 1,000 parts is counted as having taken each of them once',
    async (some) => {
      const conversation = await begin({}, settings([SETTING.initialWindowSize, 0]))
      const { client, told } = conversation
      await conversation.send(headers(1, requestFields('/hold')))
      const { stream } = opened(told)
      stream.sendHead(encodeFields({ ':status': '200' }), false)
      for (let at = 0; at < 1_000; at++) stream.sendData(Buffer.of(at % 256))
      await conversation.send(windowUpdate(1, some))
      expect([dataOf(client, 1).length, told.untaken]).toEqual([some, 1_000 - some])
      await conversation.send(frame(TYPE.reset, 0, 1, uint32(8)))
      expect([told.open.size, told.untaken]).toEqual([0, 0])
    },
  )

  test('gets them whole, however slowly it reads, while others are served', async () => {
    const { port } = await serveHttp2(ServerConnection)
    const first = settings([SETTING.initialWindowSize, MiB])
    const slow = new RawHttp2(port, first)
    const quick = new RawHttp2(port, first)
    for (const client of [slow, quick]) client.write(windowUpdate(0, 16 * MiB))
    slow.socket.pause()
    const paths = ['/bytes/3000', '/bytes/90000', '/bytes/5', '/bytes/5000']
    for (const id of streams(80)) {
      for (const client of [slow, quick]) client.write(whole(id, paths[id % 4] ?? ''))
      await new Promise((resolve) => setImmediate(resolve))
    }
    const isLast = ({ stream, flags }: { stream: number; flags: number }) => stream === 159 && flags === 5
    await quick.find(isLast)
    slow.socket.resume()
    await slow.find(isLast)
    for (const id of streams(80)) {
      const expected = pattern(Number(paths[id % 4]?.split('/')[2]))
      for (const client of [slow, quick])
        await expect.poll(() => dataOf(client, id).equals(expected), { interval: 50 }).toBe(true)
    }
  })

  test('does not starve others', async () => {
    const conversation = await begin({}, settings([SETTING.initialWindowSize, 2 ** 31 - 1]))
    const { client, told } = conversation
    client.write(
      windowUpdate(0, 2 ** 30),
      headers(1, requestFields('/hold')),
      headers(3, requestFields('/hold')),
    )
    await conversation.settle()
    const [greedy, other] = [...told.open]
    if (greedy === undefined || other === undefined) throw new Error('no streams')
    let sent = 0
    // It sends more whenever the client takes some.
    const more = (): void => {
      if (sent++ < 50) greedy.stream.sendData(Buffer.alloc(64 * KiB), more)
    }
    for (const { stream } of [greedy, other]) stream.sendHead(encodeFields({ ':status': '200' }), false)
    more()
    let sentBefore: number | undefined
    other.stream.sendData(Buffer.alloc(100 * KiB), () => {
      sentBefore = sent
    })
    await expect.poll(() => sentBefore, { interval: 1 }).toBeLessThan(20)
  })
})

describe('the table of header fields of a client', () => {
  test('may be smaller: the first block says that ours is empty', async () => {
    const { client } = await begin({}, settings([SETTING.headerTableSize, 0]))
    client.write(whole(1, '/echo'), whole(3, '/echo'))
    await client.find(({ stream, flags }) => stream === 3 && flags === 5)
    const blocks = client.frames.filter(({ type }) => type === TYPE.headers).map(({ payload }) => payload[0])
    expect(blocks).toEqual([0x20, 0, 0, 0])
  })

  test('is that of node:http2', async () => {
    const { port } = await serveHttp2(ServerConnection)
    const session = connect(`http://127.0.0.1:${port}`, { settings: { headerTableSize: 0 } })
    onTestFinished(() => session.destroy())
    const status = await new Promise((resolve) => {
      session.on('error', resolve)
      const stream = session.request({ ':path': '/echo' })
      stream.on('error', resolve)
      stream.on('response', (fields) => resolve(fields[':status']))
    })
    expect(status).toBe(200)
  })
})

describe('a server that leaves', () => {
  test('gives a slow client its last response', async () => {
    const conversation = await begin({}, settings([SETTING.initialWindowSize, 2 ** 30]))
    const { client, told, accepted } = conversation
    client.write(windowUpdate(0, 2 ** 30), headers(1, requestFields('/hold')))
    await conversation.settle()
    client.socket.pause()
    told.connection?.leave()
    const { stream } = opened(told)
    const piece = Buffer.alloc(64 * KiB, 'x')
    let sent = 0
    stream.sendHead(encodeFields({ ':status': '200' }), false)
    // The kernel takes what the client does not read, up to a limit.
    while (accepted.writableLength === 0) {
      stream.sendData(piece)
      sent += piece.length
      await new Promise((resolve) => setImmediate(resolve))
    }
    stream.sendTrailers(encodeFields({ end: 'well' }))
    expect(told.open.size).toBe(0)
    told.connection?.check()
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    expect(client.isClosed).toBe(false)
    client.socket.resume()
    await client.find(() => false)
    expect(dataOf(client, 1)).toHaveLength(sent)
    const last = client.frames
      .filter(({ type }) => type === TYPE.goaway)
      .map(({ payload }) => payload.readUInt32BE(0))
    expect(last).toEqual([2 ** 31 - 1, 1])
    expect(told.untaken).toBe(0)
  })

  test('serves what its client opens before it knows, and refuses the rest', async () => {
    const conversation = await begin()
    const { client, told } = conversation
    client.answersPings = false
    client.write(headers(1, requestFields('/hold')))
    await conversation.settle()
    told.connection?.leave()
    await conversation.send(whole(3, '/echo'))
    expect(conversation.outcome().streams[3]).toMatchObject({ hasEnded: true })
    told.connection?.check()
    const { streams: after } = await conversation.send(whole(5, '/echo'))
    expect(after[5]).toMatchObject({ resetCode: 7 })
    await conversation.send(frame(TYPE.data, END_STREAM, 1, Buffer.from('1')))
    opened(told).answer(Buffer.from('done'))
    await client.find(() => false)
    expect(dataOf(client, 1).toString()).toBe('done')
  })
})

describe('pings', () => {
  test('are answered by who has read them', async () => {
    const conversation = await begin()
    const { client, told } = conversation
    client.answersPings = false
    let pongs = 0
    told.connection?.ping(() => pongs++)
    await conversation.send(frame(TYPE.ping, ACK, 0, Buffer.alloc(8)))
    expect(pongs).toBe(0)
    const [ping] = client.frames.filter(({ type }) => type === TYPE.ping)
    await conversation.send(frame(TYPE.ping, ACK, 0, ping?.payload))
    expect(pongs).toBe(1)
  })

  const isPong = ({ type, flags }: Frame) => type === TYPE.ping && flags === ACK
  const ping = (text: string) => frame(TYPE.ping, 0, 0, Buffer.from(text))
  const pongsOf = ({ client }: Conversation) =>
    client.frames.filter(isPong).map(({ payload }) => `${payload}`)

  async function beginInVirtualTime() {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const conversation = await begin()
    const rest = async (ms: number) => {
      await vi.advanceTimersByTimeAsync(ms)
      await conversation.settle()
    }
    return { conversation, rest }
  }

  test('are acknowledged behind the response that is sent after some time', async () => {
    const { conversation, rest } = await beginInVirtualTime()
    const { client, told } = conversation
    for (const id of [1, 5, 9]) {
      const text = `ping ${id}  `
      await conversation.send(ping(text), whole(id, '/bytes/10'), headers(id + 2, requestFields('/hold')))
      expect(dataOf(client, id)).toHaveLength(10)
      await rest(20)
      expect(pongsOf(conversation)).not.toContain(text)
      opened(told).answer(Buffer.from('done'))
      await conversation.settle()
      expect(dataOf(client, id + 2).toString()).toBe('done')
      expect(client.frames.at(-1)).toMatchObject({ type: TYPE.ping, payload: Buffer.from(text) })
    }
  })

  test('are acknowledged alone when no response is sent', async () => {
    const { conversation, rest } = await beginInVirtualTime()
    const open = headers(1, requestFields('/hold'))
    for (const [ms, first] of [[20], [20], [100, open], [100]] as const) {
      const before = pongsOf(conversation).length
      await conversation.send(...(first === undefined ? [] : [first]), ping('12345678'))
      await rest(ms - 1)
      expect(pongsOf(conversation)).toHaveLength(before)
      await rest(1)
      expect(pongsOf(conversation)).toHaveLength(before + 1)
    }
    expect(vi.getTimerCount()).toBe(0)
  })

  test('are acknowledged in their order, at once when the next one arrives', async () => {
    const { conversation } = await beginInVirtualTime()
    await conversation.send(ping('ping   1'), ping('ping   2'), ping('ping   3'))
    expect(pongsOf(conversation)).toEqual(['ping   1', 'ping   2'])
    await conversation.send(ping('ping   4'))
    expect(pongsOf(conversation)).toEqual(['ping   1', 'ping   2', 'ping   3'])
    conversation.client.socket.destroy()
    await expect.poll(() => conversation.accepted.destroyed).toBe(true)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('are acknowledged behind 16 KiB, so that the delay which the client measures is that of its data', async () => {
    const { conversation } = await beginInVirtualTime()
    const { frames } = conversation.client
    await conversation.send(ping('12345678'), whole(1, '/bytes/16000'))
    expect(pongsOf(conversation)).toEqual([])
    await conversation.send(whole(3, '/bytes/16000'))
    expect(frames.at(-1)).toMatchObject({ type: TYPE.ping, flags: ACK })
  })
})

describe('settings', () => {
  test('of one frame are few', async () => {
    const few = await begin()
    const one = [SETTING.initialWindowSize, 65_535] as const
    expect(await few.send(settings(...Array(32).fill(one)))).toMatchObject({ end: undefined })
    expect(await few.send(settings(...Array(33).fill(one)))).toMatchObject({ end: CODE.enhanceYourCalm })
  })

  test('may make windows negative, and overflow none', async () => {
    const conversation = await begin()
    const { client } = conversation
    await conversation.send(whole(1, '/bytes/65535'), settings([SETTING.initialWindowSize, 0]))
    expect(dataOf(client, 1)).toHaveLength(65_535)
    await conversation.send(headers(3, requestFields('/hold')), windowUpdate(3, 2 ** 31 - 1))
    const { end } = await conversation.send(settings([SETTING.initialWindowSize, 1]))
    expect(end).toBe(CODE.flowControlError)
  })

  test('let a response continue whose window was negative', async () => {
    const window = (bytes: number) => settings([SETTING.initialWindowSize, bytes])
    const conversation = await begin({}, window(10))
    const steps: readonly (readonly [frame: Buffer, sent: number])[] = [
      [whole(1, '/bytes/40'), 10],
      // The window of the stream is -10, -7 and 2.
      [window(0), 10],
      [windowUpdate(1, 3), 10],
      [windowUpdate(1, 9), 12],
      [window(5), 17],
      // It is -5, -1 and 3.
      [window(0), 17],
      [window(4), 17],
      [window(8), 20],
      [window(100), 40],
    ]
    const sent: number[] = []
    for (const [each] of steps) {
      await conversation.send(each)
      sent.push(dataOf(conversation.client, 1).length)
    }
    expect(sent).toEqual(steps.map(([, bytes]) => bytes))
  })
})

describe('a request', () => {
  test('that is kept is passed on in parts, and its receiver may pause after each', async () => {
    const conversation = await begin()
    const { client, told } = conversation
    const sent = pattern(40_000)
    client.write(headers(1, requestFields('/unread')))
    for (let at = 0; at < sent.length; at += 10_000)
      client.write(frame(TYPE.data, at === 30_000 ? END_STREAM : 0, 1, sent.subarray(at, at + 10_000)))
    await conversation.settle()
    expect(told.unread).toBe(40_000)
    const served = opened(told)
    served.pausesAfterEach = true
    for (const left of [40_000 - 16_384, 40_000 - 2 * 16_384, 0]) {
      served.stream.resume()
      expect([told.unread, served.hasEnded]).toEqual([left, false])
    }
    served.stream.resume()
    expect(served.hasEnded).toBe(true)
    expect(Buffer.concat(served.received)).toEqual(sent)
  })

  test('for which there is no room is refused, and nothing of it is kept', async () => {
    const conversation = await begin()
    const { told } = conversation
    told.unreadBytesMax = 10_000
    const { streams: after } = await conversation.send(
      headers(1, requestFields('/unread')),
      frame(TYPE.data, 0, 1, Buffer.alloc(8_000)),
      frame(TYPE.data, 0, 1, Buffer.alloc(8_000)),
    )
    expect(after[1]).toMatchObject({ hasHead: true, hasEnded: true })
    expect([told.unread, told.open.size]).toEqual([0, 0])
  })

  test('may be large although its client reads nothing before it is sent', async () => {
    const conversation = await begin()
    const { client, told } = conversation
    told.connection?.raise({ streamsMax: 100, streamWindow: MiB, connectionWindow: 16 * MiB })
    client.write(headers(1, requestFields('/echo'), END_HEADERS))
    await conversation.settle()
    client.socket.pause()
    const piece = pattern(16_000)
    for (let n = 0; n < 60; n++) client.write(frame(TYPE.data, n === 59 ? END_STREAM : 0, 1, piece))
    await expect.poll(() => told.untaken).toBeGreaterThan(50 * piece.length)
    client.socket.resume()
    client.write(windowUpdate(0, 16 * MiB), windowUpdate(1, 16 * MiB))
    await expect.poll(() => dataOf(client, 1).length).toBe(60 * piece.length)
  })

  test.each([
    ['with a sign', '+3'],
    ['with an exponent', '3e0'],
    ['that is empty', ''],
    ['that is negative', '-3'],
    ['in hexadecimal digits', '0x3'],
  ])('may not announce a length %s', async (_, length) => {
    const conversation = await begin()
    const fields = requestFields('/echo', literal('content-length', length))
    const { streams: after } = await conversation.send(
      headers(1, fields),
      frame(TYPE.data, END_STREAM, 1, Buffer.from('abc')),
    )
    expect(after[1]).toMatchObject({ hasHead: false, resetCode: CODE.protocolError })
    expect(conversation.told.refused).toBe(1)
  })

  test.each([
    ['a pseudo-field', literal(':path', '/echo'), true],
    ['no end', literal('a', 'b'), false],
    ['a field of connections', literal('upgrade', 'b'), true],
  ])('does not end with trailers that have %s', async (_, fields, isEnd) => {
    const conversation = await begin()
    const { streams: after } = await conversation.send(
      headers(1, requestFields('/echo')),
      headers(1, fields, END_HEADERS | (isEnd ? END_STREAM : 0)),
    )
    expect(after[1]).toMatchObject({ hasHead: false, resetCode: CODE.protocolError })
  })

  test('ends with trailers', async () => {
    const conversation = await begin()
    const { streams: after } = await conversation.send(
      headers(1, requestFields('/echo')),
      frame(TYPE.data, 0, 1, Buffer.from('abc')),
      headers(1, literal('a', 'b'), END_HEADERS | END_STREAM),
    )
    expect(after[1]).toEqual({ bytes: 3, hasHead: true, hasEnded: true, resetCode: undefined })
  })

  test('may have the state of a trace in several fields', async () => {
    const conversation = await begin()
    await conversation.send(
      headers(1, requestFields('/hold', literal('tracestate', 'a=1'), literal('tracestate', 'b=2'))),
    )
    expect(opened(conversation.told).head.tracestate).toBe('a=1,b=2')
  })
})

/** Data of 16 KiB on a stream, and what becomes of them. */
const DATA: Readonly<Record<string, (client: Conversation, id: number) => Promise<unknown>>> = {
  'is read': (client, id) => client.send(begun(id, '/echo'), data(id, END_STREAM)),
  'is not read until its client resets it': async (client, id) => {
    await client.send(begun(id, '/unread'), data(id))
    await client.send(frame(TYPE.reset, 0, id, uint32(8)))
  },
  'is not read until the server resets it': async (client, id) => {
    await client.send(begun(id, '/unread'), data(id))
    await client.send(windowUpdate(id, 0))
  },
  'arrives after the response': (client, id) => client.send(begun(id, '/early'), data(id)),
  'arrives after a refusal': (client, id) => client.send(begun(id, '/refuse'), data(id)),
  'arrives after a reset': (client, id) => client.send(begun(id, '/reset/2'), data(id)),
  'arrives after its end': (client, id) => client.send(begun(id, '/unread'), data(id, END_STREAM), data(id)),
  'is more than was announced': (client, id) =>
    client.send(begun(id, '/echo', literal('content-length', '9')), data(id, END_STREAM)),
  'has no room': async (client, id) => {
    client.told.unreadBytesMax = 0
    await client.send(begun(id, '/unread'), data(id))
  },
}

const begun = (id: number, path: string, ...fields: Buffer[]): Buffer =>
  headers(id, Buffer.concat([requestFields(path), ...fields]))
const data = (id: number, flags = 0): Buffer => frame(TYPE.data, flags, id, Buffer.alloc(16 * KiB))

test.each(Object.entries(DATA))('the window of a connection grows again when data %s', async (_, send) => {
  const client = await begin()
  const granted = (): number =>
    client.client.frames
      .filter(({ type, stream }) => type === TYPE.windowUpdate && stream === 0)
      .reduce((sum, { payload }) => sum + payload.readUInt32BE(0), 64 * KiB - 1)
  let sent = 0
  for (const id of streams(20)) {
    sent += 16 * KiB
    if (granted() < sent) expect.fail(`no room for the data of stream ${id}`)
    await send(client, id)
    // The second frame of data.
    if (_ === 'arrives after its end') sent += 16 * KiB
  }
  expect(client.outcome().end).toBe(undefined)
  expect(client.told.unread).toBe(0)
})

test('frames and header blocks whose rest is missing are counted', async () => {
  const conversation = await begin()
  const { client, told } = conversation
  const block = requestFields('/echo', literal('a', 'x'.repeat(500)))
  await conversation.send(headers(1, block.subarray(0, 300), END_STREAM))
  expect(told.incomplete).toBe(300)
  const rest = frame(TYPE.continuation, END_HEADERS, 1, block.subarray(300))
  client.write(rest.subarray(0, 100))
  await conversation.settle()
  expect(told.incomplete).toBe(400)
  client.write(rest.subarray(100))
  await conversation.settle()
  expect([told.incomplete, told.closed]).toEqual([0, [{ path: '/echo', code: 0 }]])
})

test('header fields of closed streams are counted', async () => {
  const conversation = await begin()
  const { client } = conversation
  client.write(whole(1, '/echo'))
  client.write(
    ...Array.from({ length: 1_100 }, () => headers(1, literal('a', 'b'), END_HEADERS | END_STREAM)),
  )
  expect(await client.goaway()).toEqual([CODE.enhanceYourCalm, 'too_many_frames'])
})

test('a slow client keeps other connections from no memory: bytes are counted until they are taken', async () => {
  const conversation = await begin({}, settings([SETTING.initialWindowSize, 2 ** 30]))
  const { client, told } = conversation
  client.socket.pause()
  client.write(windowUpdate(0, 2 ** 30), ...streams(90).map((id) => whole(id, '/bytes/200000')))
  await expect.poll(() => told.begun).toBe(90)
  await conversation.settle()
  expect(told.untaken).toBeGreaterThan(2 * MiB)
  client.write(...streams(20).map((id) => frame(TYPE.reset, 0, id, uint32(8))))
  client.socket.destroy()
  await expect.poll(() => [told.untaken, told.unread, told.open.size]).toEqual([0, 0, 0])
})

test('random bytes end the connection at most, and leave nothing behind', async () => {
  const frames = fc.array(
    fc.oneof(
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
      fc
        .tuple(
          fc.nat({ max: 11 }),
          fc.nat({ max: 255 }),
          fc.nat({ max: 9 }),
          fc.uint8Array({ maxLength: 40 }),
        )
        .map(([type, flags, stream, payload]) => frame(type, flags, stream, payload)),
      fc.constantFrom(
        whole(1, '/bytes/1000'),
        headers(3, requestFields('/hold')),
        headers(5, requestFields('/unread')),
      ),
    ),
    { maxLength: 12 },
  )
  await fc.assert(
    fc.asyncProperty(frames, async (pieces) => {
      const { client, told } = await begin()
      client.write(...pieces)
      client.socket.end()
      await expect.poll(() => [told.untaken, told.unread, told.open.size], { interval: 1 }).toEqual([0, 0, 0])
    }),
    { numRuns: runs(1_000) },
  )
})
