// Counters of an API: whichever way an operation ends, everything that it took is given back, and it has one answer.
// The API stays the same, and each is tried many times.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { ApiError, asRevision, type LeaseId } from '../../../src/operations/forms/index.ts'
import type { Operation } from '../../../src/operations/index.ts'
import type { ApiAnswer, RowStream } from '../../../src/server/api/answer.ts'
import { Api } from '../../../src/server/api/api.ts'
import type { Reservation } from '../../../src/server/api/budget.ts'
import type { Call } from '../../../src/server/api/call.ts'
import { execute } from '../../../src/server/api/execute.ts'
import { apiLimits } from '../../../src/server/api/limits.ts'
import type { WatchSink } from '../../../src/server/node/watch/index.ts'
import { FakeNode } from '../http/fake-node.ts'
import { EVERY_OPERATION } from './every-operation.ts'

const TIMES = 3
const key = (name: string): Uint8Array => Buffer.from(name)
const SINK: WatchSink = { isFull: false, waits() {}, events() {}, progress() {}, ended() {} }

const READS = { limit: undefined, keysOnly: false, count: true, countOnly: false } as const

/** Other forms of an operation, which take other ways. */
const MORE: readonly Operation[] = [
  { ...EVERY_OPERATION.range, stream: true },
  { ...EVERY_OPERATION.range, countOnly: true },
  { ...EVERY_OPERATION.range, limit: 1, count: true },
  { ...EVERY_OPERATION.get, revision: asRevision(1) },
  { ...EVERY_OPERATION.put, lease: undefined, prev: true },
  {
    ...EVERY_OPERATION.put,
    condition: { ifMatch: undefined, ifNoneMatch: 'any' },
    lease: undefined,
    prev: true,
  },
  { ...EVERY_OPERATION.delete, prev: true },
  { ...EVERY_OPERATION.delete, idempotency: { token: 'token', since: undefined }, prev: true },
  {
    ...EVERY_OPERATION.txn,
    txn: {
      compare: [{ where: { key: key('a/1') }, target: 'value', op: '=', to: key('1') }],
      success: [
        {
          kind: 'get',
          where: { start: key('a'), end: key('b') },
          limit: 1,
          keysOnly: false,
          count: true,
          countOnly: false,
        },
      ],
      failure: [],
    },
  },
  // The first read has its room when the other one is too large.
  {
    ...EVERY_OPERATION.txn,
    txn: {
      compare: [],
      success: [
        { kind: 'get', where: { key: key('a') }, ...READS },
        { kind: 'get', where: { start: key('a'), end: key('d') }, ...READS },
      ],
      failure: [],
    },
  },
  { ...EVERY_OPERATION['change-settings'], leases: { on: true, durationMs: 400 } },
]

interface Circumstances {
  readonly node: FakeNode
  readonly api: Api
  readonly call: Call
}

/** Prepares the way of one operation; the returned function ends it. */
type Way = (circumstances: Circumstances) => (() => void) | undefined

const unreadable = new Error('the CRC of a row does not hold')
const failing = (): never => {
  throw new Error('it fails')
}

const WAYS: Readonly<Record<string, Way>> = {
  'it is answered': () => undefined,
  'the node refuses it': ({ node }) => {
    node.problem = { code: 'no_leader', detail: 'there is none', written: 'no' }
    return () => {
      node.problem = undefined
    }
  },
  'a row cannot be read at the end': ({ node }) => {
    node.unread = unreadable
    return () => {
      node.unread = undefined
    }
  },
  'a row cannot be read': ({ node }) => {
    const { get, list, listLeases, keysOfLease } = node
    const broken = () => ({
      ...scanOf(node),
      next: (_: unknown, done: (...given: unknown[]) => void) => setImmediate(done, unreadable, [], false),
    })
    Object.assign(node, {
      get: (_: unknown, done: (error: Error) => void) => setImmediate(done, unreadable),
      ...{ list: broken, listLeases: broken, keysOfLease: broken },
    })
    return () => void Object.assign(node, { get, list, listLeases, keysOfLease })
  },
  'the node fails at once': ({ node }) => {
    const { propose, read, keepAlive, change, transfer } = node
    Object.assign(node, {
      propose: failing,
      read: failing,
      keepAlive: failing,
      change: failing,
      transfer: failing,
    })
    return () => void Object.assign(node, { propose, read, keepAlive, change, transfer })
  },
  'a range may have one key': ({ node }) => {
    const limit = (rangeKeysMax: number): void => node.apply({ kind: 'settings', settings: { rangeKeysMax } })
    const { rangeKeysMax } = node.state.settings
    limit(1)
    return () => limit(rangeKeysMax)
  },
  'answers have no room': ({ api }) => {
    api.outbound.add(apiLimits.answersBytesMax)
    return () => api.outbound.remove(apiLimits.answersBytesMax)
  },
  'its time is over': ({ call }) => {
    Object.assign(call, { deadline: performance.now() - 1 })
    return undefined
  },
  'its client has gone': ({ call }) => {
    Object.assign(call, { isAbandoned: () => true })
    setImmediate(() => call.withdraw?.())
    return undefined
  },
}

/** A scan of nothing that counts as open. */
function scanOf(node: FakeNode) {
  node.openScans++
  let isOpen = true
  const close = (): void => {
    if (isOpen) node.openScans--
    isOpen = false
  }
  return {
    close,
    moveTo() {},
    finish: (done: (error: Error | undefined) => void) => setImmediate(done, undefined),
  }
}

const streamsIn = (answer: ApiAnswer): readonly RowStream<unknown>[] => {
  if (answer instanceof ApiError) return []
  if (answer.kind === 'records') return [answer.rows]
  if (answer.kind === 'backup') return [answer.file]
  return answer.kind === 'lease-keys' ? [answer.keys] : []
}

/** Reads a part, or everything. Its error is that of the answer. */
async function read(stream: RowStream<unknown>, isWhole: boolean): Promise<void> {
  await stream.next()
  for (let rows = isWhole ? await stream.next() : undefined; rows !== undefined; ) rows = await stream.next()
}

const CASES = [...Object.values(EVERY_OPERATION), ...MORE].flatMap((operation) =>
  [true, false].map((holdsRoom) => [operation.kind, operation, holdsRoom] as const),
)

test.each(CASES)('$0', async (kind, operation, holdsRoom) => {
  const node = new FakeNode()
  const failures: Error[] = []
  const api = new Api({ node, limits: apiLimits, version: '', failed: (error) => failures.push(error) })
  for (const name of ['a', 'a/1', 'a/2', 'b', 'c']) node.put(name, 'value')
  for (const [way, prepare] of Object.entries(WAYS))
    for (let at = 0; at < TIMES; at++) {
      node.apply({ kind: 'grant', id: '7' as LeaseId, ttlMs: 60_000 })
      const rooms: Reservation[] = []
      const call: Call = {
        ...{ deadline: performance.now() + 60_000, expansion: 2, isAbandoned: () => false },
        ...{ page: { add: ({ value }) => value.length }, openSink: () => SINK },
        ...(holdsRoom && { holdRoom: (room: Reservation) => void rooms.push(room) }),
      }
      const end = prepare({ node, api, call })
      let answers = 0
      const result = await new Promise<ApiAnswer>((resolve, reject) => {
        const limit = setTimeout(() => reject(new Error(`no answer to ${kind}: ${way}`)), 10_000)
        execute(api, operation, call, (answer) => {
          answers++
          clearTimeout(limit)
          resolve(answer)
        })
      })
      for (const room of rooms) room.release()
      for (const stream of streamsIn(result)) {
        await read(stream, at % 2 === 0).catch(() => {})
        stream.close()
      }
      if (!(result instanceof ApiError) && result.kind === 'watch') result.watch.cancel()
      for (let turn = 0; turn < 100 && (turn < 2 || node.openScans > 0); turn++) await nextTurn()
      end?.()
      const left = {
        ...{ bodies: api.inbound.bytes, answers: api.outbound.bytes, ranges: api.ranges.open },
        ...{ reads: node.openReads, scans: node.openScans, watches: node.watches.counts().open },
        ...{ watchBytes: api.watchBuffers.bytes, passwords: api.authenticator.passwords.size },
      }
      const notNothing = Object.entries(left).filter(([, count]) => count !== 0)
      expect([notNothing, answers], `${kind}: ${way}, time ${at}`).toEqual([[], 1])
    }
})
