// The stream of watches, as a client of etcd sees it. The client creates and cancels watches under ids of its own
// choice; the node begins them late, refuses and ends them, and events have any number of fragments. Every request is
// answered once, in the order of the requests, and no event is lost or sent under a wrong id.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { ApiError, asRevision, type Revision } from '../../../src/operations/forms/index.ts'
import { InboundBudget } from '../../../src/server/api/budget.ts'
import { WatchBuffers } from '../../../src/server/api/watch.ts'
import type { EtcdCall } from '../../../src/server/etcd/call.ts'
import { watch } from '../../../src/server/etcd/watch/stream.ts'
import { httpLimits } from '../../../src/server/listener/limits.ts'
import type { EventsMessage, WatchEnd, WatchSink } from '../../../src/server/node/watch/index.ts'
import { runs } from '../../runs.ts'
import { connectionWith } from '../clients/lone-connection.ts'

type Response = ReturnType<typeof RPC.watch.response.decode>

/** Ids of the client's choice. */
const IDS = 3

/** A fragment has up to 1.5 MiB, unless a single event is larger. */
const bytes = fc.oneof(
  { weight: 3, arbitrary: fc.constant(1) },
  { weight: 1, arbitrary: fc.constantFrom(900_000, 1_700_000) },
)
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('create' as const),
      id: fc.integer({ min: 1, max: IDS }),
      isFragmented: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('cancel' as const), id: fc.integer({ min: 1, max: IDS }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom('begin' as const, 'begin' as const, 'refuse' as const),
      at: fc.nat(),
      waits: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('events' as const),
      at: fc.nat(),
      bytes: fc.array(bytes, { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('end' as const), at: fc.nat() }) },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** A watch that the node was asked for. */
class Asked {
  readonly id: number
  readonly isFragmented: boolean
  readonly sink: WatchSink
  readonly resolve: (begun: object) => void
  readonly reject: (error: Error) => void
  state: 'asked' | 'open' | 'over' = 'asked'
  /** The node has found it full, and continues when it is drained. */
  isWaiting = false

  constructor(
    { id, isFragmented }: { readonly id: number; readonly isFragmented: boolean },
    sink: WatchSink,
    resolve: (begun: object) => void,
    reject: (error: Error) => void,
  ) {
    this.id = id
    this.isFragmented = isFragmented
    this.sink = sink
    this.resolve = resolve
    this.reject = reject
  }
}

const PUT = { type: 0, prevKv: undefined }

class Run {
  readonly #asked: Asked[] = []
  readonly #sent: Response[] = []
  /** The request that is made now. */
  #creating: { id: number; isFragmented: boolean } | undefined
  readonly #stream
  /** Ids that the client has not cancelled. */
  readonly #taken = new Set<number>()
  #revision = 9
  #creates = 0
  /** Requests for an id that is taken. */
  #refused = 0

  constructor() {
    const call = {
      api: {
        node: { revision: asRevision(9) },
        watchBuffers: new WatchBuffers(httpLimits),
        limits: httpLimits,
        toApiError: (error: Error) => error,
      },
      client: { requiresLeader: false, connection: connectionWith(new InboundBudget(2 ** 30)) },
      execute: (_: unknown, { openSink }: { readonly openSink: () => WatchSink }) =>
        new Promise((resolve, reject) => {
          if (this.#creating === undefined) throw new Error('nothing is created')
          this.#asked.push(new Asked(this.#creating, openSink(), resolve, reject))
        }),
      header: (revision: number) => ({ clusterId: 1n, memberId: 2n, revision, raftTerm: 3 }),
      nextDeadline: () => 0,
    } as unknown as EtcdCall
    this.#stream = watch.open(call, {
      ...{ send() {}, waitingBytes: 0, drained: async () => {}, end: () => expect.fail('the stream ends') },
      sendBytes: (bytes, taken) => {
        this.#sent.push(RPC.watch.response.decode(bytes))
        taken?.()
      },
    })
  }

  async step(drawn: Step): Promise<void> {
    switch (drawn.kind) {
      case 'create': {
        this.#creates++
        if (this.#taken.has(drawn.id)) this.#refused++
        this.#taken.add(drawn.id)
        this.#creating = drawn
        const key = Buffer.from('k').toString('base64')
        const create_request = { key, watch_id: drawn.id, fragment: drawn.isFragmented }
        this.#stream.request(RPC.watch.request.fromJson({ create_request }))
        break
      }
      case 'cancel':
        this.#taken.delete(drawn.id)
        for (const asked of this.#asked)
          if (asked.id === drawn.id && asked.state === 'open') asked.state = 'over'
        this.#stream.request(RPC.watch.request.fromJson({ cancel_request: { watch_id: drawn.id } }))
        break
      case 'begin':
      case 'refuse':
        this.#answer(drawn.kind, this.#pick('asked', drawn.at), drawn.waits)
        break
      case 'events':
        this.#events(this.#pick('open', drawn.at), drawn.bytes)
        break
      default:
        this.#end(this.#pick('open', drawn.at))
    }
    await settled()
  }

  #pick(state: Asked['state'], at: number): Asked | undefined {
    const some = this.#asked.filter((each) => each.state === state)
    return some[at % some.length]
  }

  #answer(kind: 'begin' | 'refuse', asked: Asked | undefined, waits: boolean): void {
    if (asked === undefined) return
    asked.state = kind === 'begin' ? 'open' : 'over'
    if (kind === 'refuse') {
      const members = { resume_from: 5 as Revision }
      asked.reject(new ApiError('compacted', 'it is compacted', { members }))
      return
    }
    const handle = {
      sentUpTo: () => asRevision(this.#revision),
      cancel: () => (asked.state = 'over'),
      drained: () => (asked.isWaiting = false),
    }
    // It reads history, and finds that it must wait.
    if (waits && asked.sink.isFull) {
      asked.isWaiting = true
      asked.sink.waits()
    }
    asked.resolve({ watch: handle, head: { revision: asRevision(this.#revision) } })
  }

  /** The events of one revision, which arrive whole and in order. */
  #events(asked: Asked | undefined, sizes: readonly number[]): void {
    if (asked === undefined || asked.sink.isFull) return
    const revision = ++this.#revision
    const keys = sizes.map((bytes, at) => Buffer.alloc(bytes, at))
    const kvs = keys.map((key) => ({
      ...{ key, createRevision: 1, modRevision: revision, version: 1 },
      ...{ value: new Uint8Array(), lease: 0n },
    }))
    const { length } = this.#sent
    const encoded = RPC.watch.response.encode({ events: kvs.map((kv) => ({ ...PUT, kv })) })
    asked.sink.events({ revision, in: () => encoded } as unknown as EventsMessage)
    const received = this.#sent.slice(length)
    expect(received.map(({ watchId }) => watchId)).toEqual(received.map(() => asked.id))
    expect(received.flatMap(({ events }) => events.map(({ kv }) => kv?.key.length))).toEqual(sizes)
    expect(received.map(({ fragment }) => fragment)).toEqual(
      received.map((_, at) => at < received.length - 1),
    )
    if (!asked.isFragmented) expect(received.length).toBe(1)
  }

  #end(asked: Asked | undefined): void {
    if (asked === undefined || asked.sink.isFull) return
    asked.state = 'over'
    const resumeFrom = asRevision(5)
    asked.sink.ended({
      kind: 'compacted',
      next: resumeFrom,
      compactRevision: resumeFrom,
      resumeFrom,
    } as WatchEnd)
  }

  async end(): Promise<void> {
    for (let asked = this.#pick('asked', 0); asked !== undefined; asked = this.#pick('asked', 0))
      this.#answer('begin', asked, true)
    await settled()
    expect(this.#asked.filter(({ state, isWaiting }) => state === 'open' && isWaiting)).toEqual([])
    const answers = this.#sent.filter(({ created }) => created)
    expect(answers.length).toBe(this.#creates)
    const duplicates = answers.filter(({ cancelReason }) => cancelReason.includes('duplicate watch ID'))
    expect(duplicates.length).toBe(this.#refused)
    // An id that the client has cancelled is answered for, and may be used again.
    for (let id = 1; id <= IDS; id++) {
      const { length } = this.#sent
      this.#stream.request(RPC.watch.request.fromJson({ cancel_request: { watch_id: id } }))
      await settled()
      const canceled = this.#sent.slice(length).filter((each) => each.canceled && each.watchId === id)
      expect(canceled.length).toBe(this.#taken.has(id) ? 1 : 0)
    }
    this.#stream.closed()
  }
}

/** Promises that are resolved have been followed. */
const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 30; turn++) await Promise.resolve()
}

test('each request for a watch is answered once, and all events of a watch arrive under its id', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const run = new Run()
      for (const each of steps) await run.step(each)
      await run.end()
    }),
    { numRuns: runs(1000) },
  )
})
