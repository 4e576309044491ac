// The driver and a store whose answers are late, lost, doubled or in another order, and that others change meanwhile.

import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Endpoint } from '../../src/client/endpoints.ts'
import type { SendOptions, SendOutcome } from '../../src/client/transport/transport.ts'
import type { RangeRequest, RangeResponse } from '../../src/etcd/messages/kv.ts'
import { EVENT_PUT, type WatchResponse } from '../../src/etcd/messages/watch.ts'
import { RPC } from '../../src/etcd/rpcs.ts'
import { ETCD_ERRORS, GRPC, GrpcError } from '../../src/etcd/status.ts'
import { Attempt } from '../../src/etcd-client/attempt.ts'
import { ConnectionError, type GrpcCallOptions, type GrpcClient } from '../../src/etcd-client/grpc-client.ts'
import { showRoles, showUsers } from '../../src/etcd-client/operations/auth.ts'
import { keepAlive, listLeases } from '../../src/etcd-client/operations/leases.ts'
import type { EtcdCalls, EtcdOperation, EtcdResult } from '../../src/etcd-client/operations/operation.ts'
import { put } from '../../src/etcd-client/operations/put.ts'
import { range } from '../../src/etcd-client/operations/range.ts'
import { txn } from '../../src/etcd-client/operations/txn.ts'
import { watch } from '../../src/etcd-client/operations/watch.ts'
import { asRevision, type LeaseId } from '../../src/operations/forms/index.ts'
import type { KvTxnOperation } from '../../src/operations/forms/transactions.ts'
import type { LeasesResult } from '../../src/operations/list-leases.ts'
import type { PutOutcome } from '../../src/operations/put.ts'
import { runs } from '../runs.ts'

const key = Uint8Array.of(1)
const headerAt = (revision: number) => ({ clusterId: 1n, memberId: 2n, revision, raftTerm: 3 })

test('a scan of several pages is of one revision, whatever others write between them', async () => {
  let now = 5
  const read = async (_: unknown, { key: from = key, limit = 0, revision = 0 }: Partial<RangeRequest>) => {
    const header = headerAt(now)
    const at = revision === 0 ? now : revision
    now++
    const next = from.length > 1 ? (from[0] ?? 0) + 1 : (from[0] ?? 0)
    const count = Math.min(limit, 200 - next)
    const kvs = Array.from({ length: count }, (__, step) => ({
      ...{ key: Uint8Array.of(next + step), value: Buffer.from(`at ${at}`) },
      ...{ createRevision: 1, modRevision: 2, version: 1, lease: 0n },
    }))
    return { header, kvs, more: next + count < 200, count: 200 } as RangeResponse
  }
  const request = {
    kind: 'range',
    range: { start: key, end: undefined },
    stream: true,
    freshness: {},
  } as const
  const answer = await range(request, { read } as unknown as EtcdCalls)
  if (!('stream' in answer && answer.stream instanceof Readable)) throw new Error('it is no stream')
  const lines = (await text(answer.stream)).trim().split('\n').slice(0, -1)
  expect(lines).toHaveLength(199)
  const values = new Set(lines.map((line) => JSON.parse(line).value))
  expect([...values]).toEqual(['at 5'])
})

describe('leases that were granted for puts', () => {
  const putWith = (name: number): KvTxnOperation => ({
    ...{ kind: 'put', key: Uint8Array.of(name), value: key, prev: false },
    lease: { ttlMs: 1_000 },
  })
  const nest = (success: readonly KvTxnOperation[], failure: readonly KvTxnOperation[]): KvTxnOperation => ({
    kind: 'txn',
    txn: { compare: [], success, failure },
  })

  /** The leases are granted as 1, 2, 3 …, those of `success` first. */
  test.each<[string, KvTxnOperation[], KvTxnOperation[], boolean, bigint[]]>([
    ['one branch', [putWith(1)], [], true, []],
    ['the other branch', [putWith(1)], [], false, [1n]],
    ['both, the first is done', [putWith(1)], [putWith(2), putWith(3)], true, [2n, 3n]],
    ['both, the second is done', [putWith(1)], [putWith(2), putWith(3)], false, [1n]],
    ['a nested one', [nest([putWith(1)], [putWith(2)])], [putWith(3)], false, [1n, 2n]],
    ['nested ones that may be done', [nest([putWith(1)], [putWith(2)])], [putWith(3)], true, [3n]],
  ])('end if these are not made: %s', async (_, success, failure, succeeded, expected) => {
    let granted = 0n
    const ended: bigint[] = []
    const answer = (each: KvTxnOperation): object =>
      each.kind === 'txn'
        ? { responseTxn: { succeeded: true, responses: each.txn.success.map(answer) } }
        : { responsePut: { prevKv: undefined } }
    const calls = {
      prepare: async () => ({ id: ++granted }),
      change: async () => ({
        header: headerAt(9),
        succeeded,
        responses: (succeeded ? success : failure).map(answer),
      }),
      cleanUp: (__: unknown, { id }: { readonly id: bigint }) => void ended.push(id),
    } as unknown as EtcdCalls
    await txn(
      { kind: 'txn', txn: { compare: [], success, failure }, freshness: {}, idempotency: undefined },
      calls,
    )
    expect(ended).toEqual(expected)
  })

  test.each([
    ['is refused', ETCD_ERRORS.permissionDenied, [1n]],
    ['is wrong', ETCD_ERRORS.requestTooLarge, [1n]],
    ['may have been made', ETCD_ERRORS.noSpace, []],
    ['may be made later', new GrpcError(GRPC.unavailable, 'etcdserver: request timed out'), []],
    ['is lost', new ConnectionError(new Error('reset'), true), []],
  ])('end if their change %s', async (_, error, expected) => {
    const ended: bigint[] = []
    const calls = {
      prepare: async () => ({ id: 1n }),
      change: () => Promise.reject(error),
      cleanUp: (__: unknown, { id }: { readonly id: bigint }) => void ended.push(id),
    } as unknown as EtcdCalls
    const lease = { ttlMs: 1_000 }
    const changes = { kind: 'txn', txn: { compare: [], success: [putWith(1)], failure: [] } } as const
    for (const attempt of [
      () =>
        put(
          { ...{ kind: 'put', key, value: key, prev: false, condition: undefined, lease }, ...UNNAMED },
          calls,
        ),
      () => txn({ ...changes, freshness: {}, ...UNNAMED }, calls),
    ]) {
      ended.length = 0
      await expect(attempt()).rejects.toBe(error)
      expect(ended).toEqual(expected)
    }
  })
})

const UNNAMED = { idempotency: undefined } as const

/** A stream with these responses, which then ends so. */
const streamOf = <A>(responses: readonly A[], end?: Error) => ({
  ...{ send() {}, halfClose() {}, cancel() {}, isSent: true },
  async *[Symbol.asyncIterator]() {
    yield* responses
    if (end !== undefined) throw end
  },
})

describe('keep-alives', () => {
  const ids = ['3', '4', '5'] as LeaseId[]
  const response = (id: bigint, ttl: number) => ({ header: headerAt(9), id, ttl })
  const renew = (responses: readonly object[]) =>
    keepAlive({ kind: 'keep-alive', ids, one: false }, {
      duplex: () => streamOf(responses),
    } as unknown as EtcdCalls)

  test.each([
    ['in their order', [response(3n, 30), response(4n, 0), response(5n, 50)]],
    ['in another order', [response(5n, 50), response(3n, 30), response(4n, 0)]],
    ['doubled', [response(3n, 30), response(3n, 30), response(4n, 0), response(5n, 50)]],
  ])('have the times of their leases if the answers arrive %s', async (_, responses) => {
    expect(await renew(responses)).toMatchObject({ result: [30_000, undefined, 50_000] })
  })

  test('do not say of a lease that it has ended when its answer is lost', async () => {
    await expect(renew([response(3n, 30)])).rejects.toThrow()
  })
})

describe('a list of leases', () => {
  /** Each read of a lease says that it has ended, up to the lease `ended`. */
  const listAfter = (ended: bigint, limit: number) => {
    const leases = [1n, 2n, 3n, 4n, 5n].map((id) => ({ id }))
    const read = async ({ path }: { readonly path: string }, { id = 0n }: { readonly id?: bigint }) =>
      path === RPC.leaseLeases.path
        ? { header: headerAt(9), leases }
        : { header: headerAt(9), id, ttl: id <= ended ? -1 : 30, grantedTtl: 60, keys: [] }
    return listLeases({ kind: 'list-leases', after: undefined, limit, freshness: {} }, {
      read,
    } as unknown as EtcdCalls)
  }

  test.each<[bigint, number, string[], boolean]>([
    [0n, 2, ['1', '2'], true],
    [1n, 2, ['2', '3'], true],
    [2n, 2, ['3', '4'], true],
    [3n, 2, ['4', '5'], false],
    [5n, 2, [], false],
  ])('whose first %s end while they are read has a page of %s', async (ended, limit, ids, more) => {
    const { result } = (await listAfter(ended, limit)) as EtcdResult<LeasesResult>
    expect([result.leases.map(({ id }) => id), result.more]).toEqual([ids, more])
  })
})

describe('lists of users and roles', () => {
  /** Reads of `b` fail so. */
  const listWhere = (failure: Error) => {
    const read = async (
      { path }: { readonly path: string },
      { name, role }: { name?: string; role?: string },
    ) => {
      const header = headerAt(9)
      if ((name ?? role) === 'b') throw failure
      if (path === RPC.userList.path) return { header, users: ['a', 'b', 'c'] }
      if (path === RPC.roleList.path) return { header, roles: ['a', 'b', 'c'] }
      return { header, roles: [], perm: [] }
    }
    const calls = { read } as unknown as EtcdCalls
    return Promise.all([
      showUsers({ kind: 'show-users', name: undefined }, calls),
      showRoles({ kind: 'show-roles', name: undefined }, calls),
    ])
  }

  test.each([ETCD_ERRORS.userNotFound, ETCD_ERRORS.roleNotFound])(
    'leave out what was removed: %s',
    async (gone) => {
      const left = [expect.objectContaining({ name: 'a' }), expect.objectContaining({ name: 'c' })]
      expect(await listWhere(gone)).toMatchObject([{ result: { users: left } }, { result: { roles: left } }])
    },
  )

  test('leave nothing out that could not be read', async () => {
    await expect(listWhere(ETCD_ERRORS.noLeader)).rejects.toBe(ETCD_ERRORS.noLeader)
  })
})

test.each([
  ['was created', 1, true, false, null],
  ['has one', 2, true, true, 8],
  ['has lost it in a compaction', 2, true, false, undefined],
  ['was created, and it was not requested', 1, false, false, undefined],
])('a watch says of the record before a put what etcd knows: the key %s', async (...each) => {
  const [, version, prev, isKnown, expected] = each
  const row = { key, value: key, createRevision: 8, modRevision: 10, version, lease: 0n }
  const prevKv = isKnown ? { ...row, modRevision: 8 } : undefined
  const responses = [
    { header: headerAt(10), created: true, canceled: false, events: [] },
    { header: headerAt(10), watchId: 0, canceled: false, events: [{ type: EVENT_PUT, kv: row, prevKv }] },
  ]
  const calls = { duplex: () => streamOf(responses), silentMs: 60_000, background: true, url: '' }
  const where = { where: { key }, from: asRevision(10), only: undefined }
  const request = { ...where, prev, values: true, progressMs: 60_000 }
  const opened = await watch({ kind: 'watch', request }, calls as unknown as EtcdCalls)
  if (!('stream' in opened) || !('messages' in opened.stream)) throw new Error('it is no watch')
  const found: unknown[] = []
  for await (const message of opened.stream.messages())
    if (message.kind === 'events')
      for (const event of message.events) found.push(event.prev === null ? null : event.prev?.modRevision)
  expect(found).toEqual([expected])
})

test.each(['before it begins', 'while it runs'])(
  'a watch whose revisions are compacted %s names the first one from which nothing is missing',
  async (when) => {
    const created = { header: headerAt(20), created: true, canceled: false, compactRevision: 0, events: [] }
    const refused = { ...created, canceled: true, compactRevision: 12, cancelReason: '' }
    const isLater = when === 'while it runs'
    const responses = isLater ? [created, refused] : [refused]
    const calls = { duplex: () => streamOf(responses), silentMs: 60_000, background: true, url: '' }
    const where = { where: { key }, from: asRevision(10), only: undefined }
    const request = { ...where, prev: false, values: true, progressMs: 60_000 }
    const opening = watch({ kind: 'watch', request }, calls as unknown as EtcdCalls)
    const members = { compact_revision: 12, resume_from: 13 }
    if (!isLater) return expect(opening).rejects.toMatchObject({ code: 'compacted', members })
    const opened = await opening
    if (!('stream' in opened) || !('messages' in opened.stream)) throw new Error('it is no watch')
    let last: unknown
    for await (const message of opened.stream.messages()) last = message
    expect(last).toMatchObject({ kind: 'ended', problem: { code: 'compacted', fields: members } })
  },
)

test('a watch says of no revision that it is complete before its events have arrived', async () => {
  const step = fc.oneof(
    fc.record({ events: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ progress: fc.constantFrom(-1, 0), ahead: fc.nat(4) }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      const begins = 10
      let revision = begins - 1
      const responses: Partial<WatchResponse>[] = [
        { header: headerAt(revision), created: true, canceled: false, events: [] },
      ]
      const eventAt = (at: number) => ({
        type: EVENT_PUT,
        kv: { key, value: key, createRevision: at, modRevision: at, version: 1, lease: 0n },
        prevKv: undefined,
      })
      // The event before the first that is wanted comes too (etcd#18089).
      responses.push({
        header: headerAt(revision),
        watchId: 0,
        canceled: false,
        events: [eventAt(begins - 1)],
      })
      for (const each of steps)
        if ('events' in each)
          for (let at = 0; at < each.events; at++)
            responses.push({
              header: headerAt(++revision),
              watchId: 0,
              canceled: false,
              events: [eventAt(revision)],
            })
        // Reports that a member makes by itself come in order; an answer to a request may come early (etcd#15220).
        else
          responses.push({
            ...{ header: headerAt(each.progress < 0 ? revision + each.ahead : revision), canceled: false },
            ...{ watchId: each.progress, events: [] },
          })
      const calls = { duplex: () => streamOf(responses), silentMs: 60_000, background: true, url: '' }
      const request = {
        where: { key },
        from: asRevision(begins),
        only: undefined,
        prev: false,
        values: true,
        progressMs: 60_000,
      }
      const opened = await watch({ kind: 'watch', request }, calls as unknown as EtcdCalls)
      if (!('stream' in opened) || !('messages' in opened.stream)) throw new Error('it is no watch')
      let complete = 0
      const seen: number[] = []
      for await (const message of opened.stream.messages()) {
        if (message.kind === 'progress') complete = Math.max(complete, message.revision)
        if (message.kind !== 'events') continue
        for (const event of message.events) {
          expect(event.revision).toBeGreaterThan(complete)
          seen.push(event.revision)
        }
      }
      expect(seen).toEqual(Array.from({ length: revision - begins + 1 }, (_, at) => begins + at))
    }),
    { numRuns: runs(200) },
  )
})

describe('an attempt', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  const endpoint = { url: 'http://127.0.0.1:1' } as Endpoint
  const granted = { header: headerAt(9), id: 7n, ttl: 1 }
  const made = { header: headerAt(9), prevKv: undefined }
  const lost = new ConnectionError(new Error('the connection was cut'), true)
  const never = {
    ...{ send() {}, halfClose() {}, cancel() {}, isSent: true },
    async *[Symbol.asyncIterator]() {
      await new Promise(() => {})
    },
  }

  /** A put with a lease of its own, and what follows its two calls. */
  async function attempt(streams: Readonly<Record<string, object>>, end: (abort: AbortController) => void) {
    const client = {
      ...{ isReady: true, isAccepted: true, probe() {} },
      serverStream: ({ path }: { readonly path: string }) => streams[path] ?? never,
      unary: async () => ({}),
    } as unknown as GrpcClient
    const abort = new AbortController()
    const { signal } = abort
    let listeners = 0
    vi.spyOn(signal, 'addEventListener').mockImplementation(() => void listeners++)
    vi.spyOn(signal, 'removeEventListener').mockImplementation(() => void listeners--)
    const outcomes: SendOutcome<PutOutcome>[] = []
    const options: SendOptions = { timeoutMs: 10_000, signal }
    const tried = new Attempt<PutOutcome>(client, endpoint, options, (outcome) => void outcomes.push(outcome))
    const request = {
      ...({ kind: 'put', key, value: key } as const),
      ...{ condition: undefined, prev: false, idempotency: undefined },
      lease: { ttlMs: 1_000 },
    }
    void tried.run(put, request)
    await vi.advanceTimersByTimeAsync(1)
    end(abort)
    if (outcomes.length === 0) tried.giveUp('given up')
    await vi.advanceTimersByTimeAsync(60_000)
    expect([outcomes.length, listeners, vi.getTimerCount()]).toEqual([1, 0, 0])
    return outcomes[0]
  }

  const GRANT = RPC.leaseGrant.path
  const PUT = RPC.put.path
  const OLD_RIGHTS = new GrpcError(GRPC.invalidArgument, 'etcdserver: revision of auth store is old')

  test.each<[string, Readonly<Record<string, object>>, object]>([
    ['both are answered', { [GRANT]: streamOf([granted]), [PUT]: streamOf([made]) }, { kind: 'served' }],
    ['the answer of the grant is late', { [GRANT]: never }, { kind: 'not-sent' }],
    ['the answer of the grant is lost', { [GRANT]: streamOf([], lost) }, { kind: 'not-sent' }],
    [
      'the grant is refused',
      { [GRANT]: streamOf([], ETCD_ERRORS.noLeader) },
      { kind: 'refused', problem: { written: 'no' } },
    ],
    [
      'the store is full for the grant',
      { [GRANT]: streamOf([], ETCD_ERRORS.noSpace) },
      { kind: 'refused', problem: { written: 'no' } },
    ],
    [
      'the answer of the put is late',
      { [GRANT]: streamOf([granted]), [PUT]: never },
      { kind: 'maybe-applied' },
    ],
    [
      'the answer of the put is lost',
      { [GRANT]: streamOf([granted]), [PUT]: streamOf([], lost) },
      { kind: 'maybe-applied' },
    ],
    [
      'the put is refused',
      { [GRANT]: streamOf([granted]), [PUT]: streamOf([], ETCD_ERRORS.permissionDenied) },
      { kind: 'refused', problem: { written: 'no' } },
    ],
    [
      'the rights have changed since the login',
      { [GRANT]: streamOf([granted]), [PUT]: streamOf([], OLD_RIGHTS) },
      { kind: 'refused', problem: { code: 'unauthenticated', written: 'no' } },
    ],
    [
      'the put is sent to a learner',
      { [GRANT]: streamOf([granted]), [PUT]: streamOf([], ETCD_ERRORS.notSupportedForLearner) },
      { kind: 'refused', problem: { written: 'no', passing: true } },
    ],
    [
      'the put has filled the store',
      { [GRANT]: streamOf([granted]), [PUT]: streamOf([], ETCD_ERRORS.noSpace) },
      { kind: 'refused', problem: { written: 'unknown' } },
    ],
  ])(
    'says honestly whether the put may be made, and leaves nothing behind: %s',
    async (_, streams, expected) => {
      expect(await attempt(streams, () => {})).toMatchObject(expected)
    },
  )

  /** An attempt of one operation at a member, and its outcome. */
  function tryAt<Q, R>(client: object, options: SendOptions, operation: EtcdOperation<Q, R>, request: Q) {
    return new Promise<SendOutcome<R>>((resolve) => {
      const member = { isReady: true, isAccepted: true, probe() {}, ...client } as unknown as GrpcClient
      void new Attempt<R>(member, endpoint, options, resolve).run(operation, request)
    })
  }

  test('is not silent while the calls of a long operation are answered', async () => {
    const leases = Array.from({ length: 10 }, (_, at) => ({ id: BigInt(at + 1) }))
    const serverStream = ({ path }: { readonly path: string }, { id = 0n }: { readonly id?: bigint }) => ({
      ...streamOf([]),
      async *[Symbol.asyncIterator]() {
        await new Promise((resolve) => setTimeout(resolve, 600))
        yield path === RPC.leaseLeases.path
          ? { header: headerAt(9), leases }
          : { header: headerAt(9), id, ttl: -1, grantedTtl: 60, keys: [] }
      },
    })
    const request = { kind: 'list-leases', after: undefined, limit: 1, freshness: {} } as const
    const outcome = tryAt({ serverStream }, { timeoutMs: 20_000, silenceMs: 1_000 }, listLeases, request)
    await vi.advanceTimersByTimeAsync(20_000)
    expect(await outcome).toMatchObject({ kind: 'served', result: { leases: [], more: false } })
    expect(vi.getTimerCount()).toBe(0)
  })

  test('ends the lease of a put that was not made as the user who was granted it', async () => {
    const ended: unknown[] = []
    const answers = new Map<string, object>([
      [RPC.leaseGrant.path, granted],
      [RPC.txn.path, { header: headerAt(9), succeeded: false, responses: [{ responseRange: { kvs: [] } }] }],
    ])
    const client = {
      serverStream: ({ path }: { readonly path: string }) => streamOf([answers.get(path)]),
      unary: async ({ path }: { path: string }, { id }: { id: bigint }, { metadata }: GrpcCallOptions) =>
        void ended.push([path, id, metadata]),
    }
    const outcome = await tryAt(client, { timeoutMs: 1_000, authorization: 'Bearer t1' }, put, {
      ...({ kind: 'put', key, value: key, prev: false, idempotency: undefined } as const),
      ...{ condition: { ifMatch: undefined, ifNoneMatch: 'any' }, lease: { ttlMs: 1_000 } },
    } as const)
    expect(outcome).toMatchObject({ kind: 'refused', problem: { code: 'precondition_failed' } })
    expect(ended).toEqual([[RPC.leaseRevoke.path, 7n, { token: 't1' }]])
  })
})
