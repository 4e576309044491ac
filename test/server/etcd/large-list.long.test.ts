// A client lists 200 MiB while another client puts, at full speed and so slowly that it takes a part of the list after
// each of these puts. Each list is complete and of one instant. The node keeps a small part of it in memory.

import { connect as connectHttp2, constants } from 'node:http2'
import { connect as connectTcp, createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { sample } from '../../../bench/measure/processes.ts'
import { encodeUtf8 } from '../../../src/bytes/index.ts'
import { FRAME_HEAD_BYTES } from '../../../src/etcd/frames.ts'
import { type RangeRequest, RangeResponse } from '../../../src/etcd/messages/kv.ts'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { GRPC, GrpcError } from '../../../src/etcd/status.ts'
import { GrpcClient } from '../../../src/etcd-client/grpc-client.ts'
import { type StartedNode, scratchDirectory, startNodes } from '../../etcd/suites.ts'
import { frame } from './grpc-call.ts'

const KiB = 1024
const MiB = 1024 * KiB
const OBJECTS = 40_000
const OBJECT_BYTES = 5 * KiB
/** Page size of the watch cache of Kubernetes' API server. */
const PAGE_OBJECTS = 10_000
const OBJECTS_PER_TXN = 100
const TXNS_IN_FLIGHT = 4
/** Part of the list that a slow client takes after each put of the other client. */
const PART_BYTES = 256 * KiB
const WINDOW_BYTES = 16 * MiB
/**
 * Limit on the growth of the node while it sends lists. 32 MiB of answers may be held; the rest is that of V8 and of
 * the puts. It grew by 77 MB at most, and by 150 MB and more when it read a list without waiting for its client.
 */
const GROWTH_MB_MAX = 128

const PREFIX = '/registry/things/'
const RANGE = { key: encodeUtf8(PREFIX), rangeEnd: encodeUtf8('/registry/things0') }
/** The key of the other client, in the middle of the list. */
const COUNTER = `${nameAt(OBJECTS / 2)}-counter`
const NOISE = Buffer.from(
  Uint32Array.from({ length: 64 * KiB }, (_, at) => Math.imul(at + 1, 0x9e3779b1) ^ (at * at)).buffer,
)

function nameAt(at: number): string {
  return `${PREFIX}${String(at).padStart(8, '0')}`
}

function valueAt(at: number): Uint8Array {
  const from = (at * 7) % (NOISE.length - OBJECT_BYTES)
  return NOISE.subarray(from, from + OBJECT_BYTES)
}

test('lists of 200 MiB, at full speed and slowly, while another client puts', {
  timeout: 1_800_000,
}, async () => {
  const [node] = await startNodes(scratchDirectory('large-list'), ['n1'])
  const pid = node?.child.pid
  if (node === undefined || pid === undefined) throw new Error('no node')
  await fill(node)
  const { rssAnonMb: firstMb } = sample(pid)
  const counter = new Counter(node)
  await counter.next
  const figures = []
  for (const isSlow of [false, true])
    for (const limit of [0, PAGE_OBJECTS]) {
      await longestTurnMs(node)
      const memory = new Memory(pid)
      const before = sample(pid)
      const startedAt = performance.now()
      counter.begin()
      const lister = new Lister(await (isSlow ? relayed(node, counter) : portOf(node)), () => memory.look())
      const list = await lister.list(limit)
      const seconds = (performance.now() - startedAt) / 1_000
      const cpu = (sample(pid).cpuMicros - before.cpuMicros) / 1e6
      // The list may show a put that is not answered yet.
      await counter.next
      figures.push({
        list: `${isSlow ? 'slow' : 'full speed'}, ${limit === 0 ? 'one range' : `pages of ${limit}`}`,
        ...{ seconds: seconds.toFixed(1), 'CPU seconds': cpu.toFixed(1) },
        ...{ 'MB before': Math.round(before.rssAnonMb), 'MB at most': Math.round(memory.peakMb) },
        'longest turn ms': await longestTurnMs(node),
        ...{ puts: counter.latencies.length, 'p99 ms': quantile(counter.latencies, 0.99) },
      })
      console.log(JSON.stringify(figures.at(-1)))
      checkList(list, counter.values)
      expect(memory.peakMb - firstMb).toBeLessThan(GROWTH_MB_MAX)
    }
  await counter.end()
  console.table(figures)
})

const portOf = ({ address }: StartedNode): number => Number(new URL(`http://${address}`).port)
const clientOf = ({ address }: StartedNode): GrpcClient => {
  const client = new GrpcClient({ endpoint: `http://${address}` })
  onTestFinished(() => client.close())
  return client
}
const quantile = (numbers: readonly number[], part: number): string =>
  (numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length * part)] ?? 0).toFixed(1)

/** Puts the objects. A node whose disk is slow refuses some of them. */
async function fill(node: StartedNode): Promise<void> {
  const client = clientOf(node)
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < OBJECTS) {
      const from = next
      next += OBJECTS_PER_TXN
      const puts = Array.from({ length: OBJECTS_PER_TXN }, (_, at) =>
        put(nameAt(from + at), valueAt(from + at)),
      )
      await untilServed(() => client.unary(RPC.txn, { compare: [], success: puts, failure: [] }))
    }
  }
  await Promise.all(Array.from({ length: TXNS_IN_FLIGHT }, worker))
}

const put = (key: string, value: Uint8Array) => ({
  ...{ requestRange: undefined, requestDeleteRange: undefined, requestTxn: undefined },
  requestPut: {
    ...{ key: encodeUtf8(key), value, lease: 0n },
    ...{ prevKv: false, ignoreValue: false, ignoreLease: false },
  },
})

const OVERLOADED: readonly number[] = [GRPC.unavailable, GRPC.resourceExhausted, GRPC.deadlineExceeded]

async function untilServed<T>(call: () => Promise<T>): Promise<T> {
  for (;;)
    try {
      return await call()
    } catch (error) {
      if (!(error instanceof GrpcError) || !OVERLOADED.includes(error.code)) throw error
    }
}

/** A promise that may reject when nobody awaits it. */
function newSignal() {
  const signal = Promise.withResolvers<void>()
  signal.promise.catch(() => {})
  return signal
}

/** The other client: puts the next number into its key, again and again. */
class Counter {
  /** The number that was put at each revision. */
  readonly values = new Map<number, number>()
  latencies: number[] = []
  readonly #client: GrpcClient
  readonly #counting: Promise<void>
  #isEnding = false
  #next = newSignal()

  constructor(node: StartedNode) {
    this.#client = clientOf(node)
    this.#counting = this.#count()
    this.#counting.catch((error) => this.#next.reject(error))
  }

  /** Forgets the latencies so far. */
  begin(): void {
    this.latencies = []
  }

  /** Resolves when the next put is answered; rejects when one was refused. */
  get next(): Promise<void> {
    return this.#next.promise
  }

  async #count(): Promise<void> {
    for (let number = 1; !this.#isEnding; number++) {
      const startedAt = performance.now()
      const request = { key: encodeUtf8(COUNTER), value: encodeUtf8(String(number)) }
      const { header } = await this.#client.unary(RPC.put, request)
      this.latencies.push(performance.now() - startedAt)
      this.values.set(header?.revision ?? 0, number)
      this.#next.resolve()
      this.#next = newSignal()
    }
  }

  async end(): Promise<void> {
    this.#isEnding = true
    await this.#counting
  }
}

/** The port of a relay to the node. What the node sends passes it in parts, one after each put. */
async function relayed(node: StartedNode, counter: Counter): Promise<number> {
  const server = createServer((client) => {
    const upstream = connectTcp({ port: portOf(node), host: '127.0.0.1', noDelay: true })
    for (const socket of [client, upstream]) {
      onTestFinished(() => void socket.destroy())
      socket.on('error', () => {})
    }
    client.pipe(upstream)
    let bytes = 0
    upstream.on('data', (chunk: Buffer) => {
      client.write(chunk)
      bytes += chunk.length
      if (bytes < PART_BYTES) return
      bytes = 0
      upstream.pause()
      counter.next.then(() => upstream.resume()).catch(() => client.destroy())
    })
  })
  onTestFinished(() => void server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Number(Object(server.address()).port)
}

interface List {
  readonly revision: number
  /** The number of keys that each page has stated. */
  readonly counts: readonly number[]
  /** Keys in their order. */
  readonly keys: readonly string[]
  readonly counter: { readonly value: string; readonly modRevision: number } | undefined
}

class Lister {
  readonly #port: number
  readonly #received: () => void
  readonly #keys: string[] = []
  #counter: List['counter']

  constructor(port: number, received: () => void) {
    this.#port = port
    this.#received = received
  }

  /** `limit`: rows of a page; 0: all in one. */
  async list(limit: number): Promise<List> {
    const session = connectHttp2(`http://127.0.0.1:${this.#port}`, {
      settings: { initialWindowSize: WINDOW_BYTES },
    })
    onTestFinished(() => session.destroy())
    session.once('connect', () => session.setLocalWindowSize(WINDOW_BYTES))
    const counts: number[] = []
    let revision = 0
    let key: Uint8Array = RANGE.key
    for (;;) {
      const page = await this.#page(session, { ...RANGE, key, limit, revision })
      counts.push(page.count)
      // A later page states the newest revision, and is of the first one's.
      if (revision === 0) revision = page.header?.revision ?? 0
      if (!page.more) break
      key = encodeUtf8(`${this.#keys.at(-1)}\0`)
    }
    session.close()
    return { revision, counts, keys: this.#keys, counter: this.#counter }
  }

  async #page(
    session: ReturnType<typeof connectHttp2>,
    request: Partial<RangeRequest>,
  ): Promise<Pick<RangeResponse, 'header' | 'more' | 'count'>> {
    const stream = session.request({
      ':method': 'POST',
      ':path': RPC.range.path,
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    let status: unknown
    for (const event of ['response', 'trailers'])
      stream.on(event, (fields) => {
        status = fields['grpc-status'] ?? status
      })
    stream.end(frame(RPC.range.request.encode(request)))
    let rest: Buffer = Buffer.alloc(0)
    let length: number | undefined
    let header: RangeResponse['header']
    for await (const chunk of stream) {
      this.#received()
      rest = Buffer.concat([rest, chunk])
      if (length === undefined && rest.length >= FRAME_HEAD_BYTES) {
        length = rest.readUInt32BE(1)
        rest = rest.subarray(FRAME_HEAD_BYTES)
      }
      if (length === undefined) continue
      // A field is a message with this one field. The last ones, which are numbers, are decoded at the end.
      for (let field = firstField(rest); field !== undefined; field = firstField(rest)) {
        rest = rest.subarray(field.length)
        length -= field.length
        const { kvs, ...others } = RangeResponse.decode(field)
        header ??= others.header
        for (const row of kvs) this.#take(row)
      }
    }
    expect({ status, code: stream.rstCode, left: length }).toEqual({
      status: '0',
      code: constants.NGHTTP2_NO_ERROR,
      left: rest.length,
    })
    return { ...RangeResponse.decode(rest), header }
  }

  #take({ key, value, modRevision }: RangeResponse['kvs'][number]): void {
    const name = Buffer.from(key).toString('latin1')
    if (name === COUNTER) this.#counter = { value: Buffer.from(value).toString('latin1'), modRevision }
    else if (Buffer.compare(value, valueAt(Number(name.slice(PREFIX.length)))) !== 0)
      throw new Error(`the value of ${name} is wrong`)
    this.#keys.push(name)
  }
}

const LENGTH = 2

/** The first field of a message, if it has a length and has arrived. */
function firstField(bytes: Buffer): Buffer | undefined {
  if (bytes.length === 0 || ((bytes[0] ?? 0) & 7) !== LENGTH) return undefined
  let end = 1
  let length = 0
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[end++]
    if (byte === undefined) return undefined
    length |= (byte & 0x7f) << shift
    if (byte < 0x80) break
  }
  end += length
  return end <= bytes.length ? bytes.subarray(0, end) : undefined
}

/** `values`: what was put into the key of the other client at each revision. */
function checkList({ keys, revision, counts, counter }: List, values: ReadonlyMap<number, number>): void {
  const newest = Math.max(...[...values.keys()].filter((each) => each <= revision))
  expect(counter).toEqual({ value: String(values.get(newest)), modRevision: newest })
  const expected = Array.from({ length: OBJECTS }, (_, at) => nameAt(at)).toSpliced(
    OBJECTS / 2 + 1,
    0,
    COUNTER,
  )
  expect(keys.length).toBe(expected.length)
  expect(keys.findIndex((key, at) => key !== expected[at])).toBe(-1)
  expect(counts).toEqual(counts.map((_, page) => expected.length - page * PAGE_OBJECTS))
}

/** The memory of a node's process itself, at most. */
class Memory {
  readonly #pid: number
  peakMb = 0

  constructor(pid: number) {
    this.#pid = pid
  }

  look(): void {
    this.peakMb = Math.max(this.peakMb, sample(this.#pid).rssAnonMb)
  }
}

/** How late timers of the node ran at most since the last call. */
async function longestTurnMs({ address }: StartedNode): Promise<string> {
  const text = await (await fetch(`http://${address}/metrics`)).text()
  const [, seconds] = /^nodejs_eventloop_lag_seconds\{.*statistic="max".*\} (\S+)$/m.exec(text) ?? []
  return (Number(seconds) * 1_000).toFixed(1)
}
