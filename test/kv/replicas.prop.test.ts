// One log on replicas with different limits, restarts, power cuts, and snapshots from each other at any index, also
// during the reads before an entry. Every entry has one outcome on all replicas, and rows, registers and state hash
// are the same at the end. The log has requests of all kinds, also those of users whose rights change.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { StoreModel } from '../../jepsen-lite/sim/oracle/model.ts'
import { writesVersions } from '../../src/kv/codec/request.ts'
import { encodeState, initialState } from '../../src/kv/codec/state.ts'
import { decodeLease, leaseKey } from '../../src/kv/leases.ts'
import type { ApplyResult, Command, KeyCommand, KvState, Request } from '../../src/kv/types.ts'
import type { Condition, Idempotency, KvSettings, LeaseId } from '../../src/operations/forms/index.ts'
import { CLUSTER_VERSION, hasFeature } from '../../src/operations/forms/settings.ts'
import type { KvTxn, KvTxnOperation } from '../../src/operations/index.ts'
import { asIndex, asTerm, type Entry } from '../../src/raft/types.ts'
import type { Applier } from '../../src/server/node/apply/applier.ts'
import type { StoreLimits } from '../../src/server/node/key-index/key-index.ts'
import type { Storage, StoredRow } from '../../src/storage/index.ts'
import { pastEntry } from '../raft/harness/frames.ts'
import { runs } from '../runs.ts'
import { applierOn, entryOf } from '../server/node/applying.ts'
import { metaOf } from '../storage/conformance.ts'
import { memoryDisk, openDisk } from '../storage/replicas.ts'
import { batch, closed, hardState, must, scrub, sinkFor, store, stream, write } from '../storage/samples.ts'
import { log as drawnLog } from './drawn-requests.ts'
import { Requester } from './requester.ts'
import { ask, batchOf, hex, MemoryStore, rev } from './store.ts'

const FIRST = 2
const TERM = 1

/** A small set, so that requests share keys. Some exceed the part of a row that a replica keeps in memory. */
const key = fc
  .constantFrom(0, 1, 2, 59, 60, 100)
  .chain((length) => fc.constantFrom(0x61, 0x62, 0xff).map((byte) => new Uint8Array(length).fill(byte)))
/** Around the size of a row's head, and larger than a batch. */
const value = fc
  .constantFrom(0, 1, 32, 33, 34, 300, 2000)
  .map((length) => new Uint8Array(length).fill(length))
const revisions = fc.integer({ min: 1, max: 9 }).map(rev)
const tags = fc.oneof(fc.constant('any' as const), fc.array(revisions, { maxLength: 3 }))
const condition: fc.Arbitrary<Condition | undefined> = fc.option(
  fc.record({
    ifMatch: fc.option(tags, { nil: undefined }),
    ifNoneMatch: fc.option(tags, { nil: undefined }),
  }),
  { nil: undefined, freq: 1 },
)
const prev = fc.nat(9).map((drawn) => drawn === 0)
const settings: fc.Arbitrary<Partial<KvSettings>> = fc.record(
  {
    keyBytesMax: fc.constantFrom(0, 1, 60, 100, 200),
    valueBytesMax: fc.constantFrom(0, 33, 2000, 2001),
    storeBytesMax: fc.integer({ min: 0, max: 6000 }),
    idempotencyTokensMax: fc.integer({ min: 1, max: 5 }),
    idempotencyBytesMax: fc.integer({ min: 4000, max: 4200 }),
    idempotencyAgeMsMax: fc.integer({ min: 1000, max: 2000 }),
    clusterVersion: fc.integer({ min: 0, max: CLUSTER_VERSION }),
    historyRevisionsMax: fc.integer({ min: 1, max: 20 }),
    historyBytesMax: fc.integer({ min: 0, max: 6000 }),
    historyAgeMs: fc.integer({ min: 1000, max: 2000 }),
    rangeKeysMax: fc.integer({ min: 1, max: 20 }),
    leasesMax: fc.integer({ min: 0, max: 4 }),
  },
  { requiredKeys: [] },
)
const id = fc.constantFrom('1', '2', '18446744073709551615').map((id) => id as LeaseId)
const ttlMs = fc.integer({ min: 999, max: 1500 })
const lease = fc.option(fc.oneof(fc.record({ id }), fc.record({ ttlMs })), { nil: undefined, freq: 2 })
const batched: fc.Arbitrary<KeyCommand> = fc.oneof(
  fc.record({ kind: fc.constant('put' as const), key, value, condition, prev: fc.constant(false), lease }),
  fc.record({ kind: fc.constant('delete' as const), key, condition, prev: fc.constant(false) }),
)
const range = fc.record({ start: key, end: fc.option(key, { nil: undefined, freq: 3 }) })
const where = fc.oneof(fc.record({ key }), range)
const target = fc.constantFrom('version' as const, 'mod_revision' as const)
const op = fc.constantFrom('=' as const, '!=' as const, '<' as const, '>' as const)
const comparison = fc.oneof(
  fc.record({ where, op, target: fc.constant('value' as const), to: value }),
  fc.record({ where, op, target, to: fc.nat(9) }),
  fc.record({ where, op, target: fc.constant('lease' as const), to: fc.option(id, { nil: undefined }) }),
)
const { txn } = fc.letrec<{ txn: KvTxn; operation: KvTxnOperation }>((tie) => ({
  txn: fc.record({
    compare: fc.array(comparison, { maxLength: 1 }),
    success: fc.array(tie('operation'), { maxLength: 3 }),
    failure: fc.array(tie('operation'), { maxLength: 3 }),
  }),
  operation: fc.oneof(
    { maxDepth: 2 },
    fc.record({ kind: fc.constant('put' as const), key, value, prev, lease }),
    fc.record({
      kind: fc.constant('get' as const),
      where,
      limit: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
      keysOnly: fc.boolean(),
      count: fc.boolean(),
      countOnly: fc.boolean(),
    }),
    fc.record({ kind: fc.constant('delete' as const), where, prev: fc.boolean() }),
    fc.record({ kind: fc.constant('txn' as const), txn: tie('txn') }),
  ),
}))
/** A deadline of 0 stands for the lease's current one. */
const newest: fc.Arbitrary<Command> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('txn' as const), txn }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('delete-range' as const), range }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('compact' as const),
      revision: fc.option(fc.integer({ min: 1, max: 40 }).map(rev), { nil: undefined }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('grant' as const),
      id: fc.option(id, { nil: undefined, freq: 5 }),
      ttlMs,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('renew' as const), ids: fc.array(id, { maxLength: 3 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('revoke' as const), id }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('expire' as const),
      leases: fc.array(fc.record({ id, deadlineMs: fc.constantFrom(0, 0, 0, 7000) }), { maxLength: 3 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('put' as const), key, value, condition, prev, lease }),
  },
)
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 12, arbitrary: newest },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('put' as const), key, value, condition, prev }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('delete' as const), key, condition, prev }) },
  { weight: 1, arbitrary: settings.map((settings) => ({ kind: 'settings' as const, settings })) },
  { weight: 2, arbitrary: fc.array(batched, { maxLength: 8 }).map((drawn) => batchOf(...drawn)) },
  { weight: 2, arbitrary: fc.constant({ kind: 'open-session' as const }) },
)
const idempotency: fc.Arbitrary<Idempotency | undefined> = fc.option(
  fc.oneof(
    fc.record({
      token: fc.integer({ min: 1, max: 12 }).map((n) => 't'.repeat(n * n)),
      since: fc.option(revisions, { nil: undefined }),
    }),
    fc.record({
      session: fc.integer({ min: 1, max: 3 }),
      slot: fc.constantFrom(0, 1, 300, 4095),
      seq: fc.integer({ min: 1, max: 4 }),
    }),
  ),
  { nil: undefined, freq: 2 },
)
/** undefined: an entry of the core. */
const request: fc.Arbitrary<Request | undefined> = fc.option(
  fc
    .tuple(command, idempotency, fc.constantFrom(undefined, 0, 2 ** 48 - 1))
    .map(([command, idempotency, timeMs]) => ({
      ...ask(command, idempotency),
      ...(timeMs !== undefined && writesVersions(command) && { timeMs }),
    })),
  { nil: undefined, freq: 9 },
)
const one = fc.record({ request, elapsedMs: fc.integer({ min: -100, max: 400 }) }).map((each) => [each])
/** Only the revision of a store without keys is raised: by so much, and at most to there. */
const raised = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constant(2 ** 52)).map((to) =>
  [
    { kind: 'delete-range' as const, range: { start: new Uint8Array(), end: undefined } },
    { kind: 'raise-revision' as const, revision: rev(to) },
  ].map((each) => ({ request: ask(each), elapsedMs: 0 })),
)
const ownLog: fc.Arbitrary<Log> = fc
  .record({
    rangeBytesMax: fc.constantFrom(60, 130, 400),
    clusterVersion: fc.integer({ min: 1, max: CLUSTER_VERSION }),
    drawn: fc
      .array(fc.oneof({ weight: 20, arbitrary: one }, { weight: 1, arbitrary: raised }), {
        minLength: 1,
        maxLength: 40,
      })
      .map((each) => each.flat()),
  })
  .map(({ rangeBytesMax, clusterVersion, drawn }) => {
    const initial = initialState({ idempotencyAgeMsMax: 1000, rangeBytesMax, clusterVersion })
    const store = new MemoryStore(initial.settings)
    let now = 1000
    const entries = drawn.map(({ request, elapsedMs }, at) => {
      now += elapsedMs
      const asked = request && ofStore(request, store)
      if (asked !== undefined) store.apply(asked, now)
      return asked === undefined ? pastEntry(FIRST + at, TERM) : entryOf(FIRST + at, asked, now)
    })
    return { initial, entries }
  })

/** Requests of the log that store.prop.test.ts draws, with users and rights. */
const sharedLog: fc.Arbitrary<Log> = drawnLog.map(({ settings: drawn, steps }) => {
  const violated = (invariant: string, detail: string): never => {
    throw new Error(`${invariant}: ${detail}`)
  }
  const initial = initialState(drawn)
  const model = new StoreModel(violated, initial.settings)
  const requester = new Requester(model)
  const entries: Entry[] = []
  let now = 1000
  for (const { step, elapsedMs } of steps) {
    now += elapsedMs
    const asked = requester.requestOf(step)
    if (asked === undefined) continue
    const entry = entryOf(FIRST + entries.length, asked, now)
    model.apply(entry.frame)
    entries.push(entry)
  }
  return { initial, entries }
})
const log = fc.oneof(ownLog, sharedLog)

/**
 * Ends leases at their current deadlines, and raises the revision above the current one. undefined: no node proposes
 * it, since the cluster does not have the feature yet.
 */
function ofStore(
  request: Request,
  { rows, state: { revision, settings } }: MemoryStore,
): Request | undefined {
  const { command } = request
  if (command.kind === 'raise-revision') {
    if (!hasFeature(settings, 'revisionRaise')) return undefined
    const raisedTo = rev(Math.min(2 ** 52, revision + command.revision))
    return { ...request, command: { ...command, revision: raisedTo } }
  }
  if (command.kind !== 'expire') return request
  const leases = command.leases.map(({ id, deadlineMs }) => {
    const row = rows.get(hex(leaseKey(id)))
    return { id, deadlineMs: row === undefined || deadlineMs > 0 ? deadlineMs : decodeLease(row).deadlineMs }
  })
  return { ...request, command: { ...command, leases } }
}

const limits: fc.Arbitrary<Partial<StoreLimits>> = fc.record({
  rowHeads: fc.integer({ min: 1, max: 12 }),
  rowFilterBytes: fc.integer({ min: 1, max: 64 }),
  batchBytesMax: fc.integer({ min: 1, max: 4000 }),
  batchItemsMax: fc.integer({ min: 1, max: 30 }),
})

/** How a replica applies entries with many keys: those with more than `keysAtOnce` in parts of so many steps. */
interface Parts {
  readonly keysAtOnce: number
  readonly stepsMax: number
}

const parts: fc.Arbitrary<Parts> = fc.record({
  keysAtOnce: fc.constantFrom(0, 1, 64),
  stepsMax: fc.integer({ min: 1, max: 12 }),
})
const AT_ONCE: Parts = { keysAtOnce: 64, stepsMax: Number.POSITIVE_INFINITY }

type Step =
  | { readonly kind: 'apply'; readonly count: number }
  /** Begins to apply, and takes the next step during the reads before an entry. */
  | { readonly kind: 'begin'; readonly count: number; readonly turns: number }
  | { readonly kind: 'flush' | 'restart' }
  | { readonly kind: 'cut'; readonly inFlight: 'lost' | 'kept' }
  | { readonly kind: 'install'; readonly ahead: number; readonly limits: Partial<StoreLimits> }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('apply'), count: fc.integer({ min: 1, max: 9 }) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('begin'),
      count: fc.integer({ min: 1, max: 9 }),
      turns: fc.nat(3),
    }),
  },
  { weight: 3, arbitrary: fc.constant({ kind: 'flush' }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'restart' }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('cut'), inFlight: fc.constantFrom('lost', 'kept') }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('install'), ahead: fc.nat(9), limits }) },
)

/** The outcome of each entry on the replica that applied it first. */
type Heard = Map<number, ApplyResult | undefined>

const RAFT_STATE = Uint8Array.of(7)

interface Log {
  readonly initial: KvState
  readonly entries: readonly Entry[]
}

class Replica {
  readonly #disk
  readonly #initial: KvState
  readonly #log: readonly Entry[]
  readonly #heard: Heard
  readonly #limits: Partial<StoreLimits>
  readonly #parts: Parts
  #running: { readonly storage: Storage; readonly applier: Applier } | undefined

  constructor({ initial, entries }: Log, heard: Heard, limits: Partial<StoreLimits> = {}, parts = AT_ONCE) {
    const applied = {
      ...{ index: asIndex(FIRST - 1), term: asTerm(TERM) },
      ...{ raft: RAFT_STATE, kv: encodeState(initial) },
    }
    this.#disk = memoryDisk({ hardState: hardState(TERM, FIRST - 1), applied })
    this.#initial = initial
    this.#log = entries
    this.#heard = heard
    this.#limits = limits
    this.#parts = parts
  }

  get #commit(): number {
    return FIRST + this.#log.length - 1
  }

  async start(): Promise<this> {
    await this.#open()
    await this.#store([write({ entries: this.#log })])
    return this
  }

  async live(step: Step): Promise<void> {
    const { storage, applier } = must(this.#running)
    switch (step.kind) {
      case 'apply':
        await this.applyTo(storage.applied.index + step.count)
        break
      case 'begin':
        if (applier.queued > 0) break
        this.#push(storage.applied.index + step.count)
        for (let turn = 0; turn < step.turns; turn++) await this.#turn()
        break
      case 'flush':
        await this.#store([])
        break
      case 'restart':
        applier.clear()
        await closed(storage)
        await this.#open()
        break
      case 'cut':
        applier.clear()
        storage.write(batch(hardState(TERM, this.#commit)), () => {
          throw new Error('called back after a power cut')
        })
        this.#disk.crash(step.inFlight)
        await this.#open()
        break
      case 'install':
        await this.#install(step.ahead, step.limits)
        break
    }
  }

  async applyTo(index: number): Promise<void> {
    const { applier } = must(this.#running)
    while (applier.queued > 0) await this.#turn()
    this.#push(index)
    while (applier.queued > 0) await this.#turn()
  }

  #push(index: number): void {
    const { storage, applier } = must(this.#running)
    const from = storage.applied.index + 1 - FIRST
    applier.push(this.#log.slice(from, Math.max(from, index + 1 - FIRST)))
    applier.run(() => false, this.#parts.stepsMax)
  }

  async #turn(): Promise<void> {
    await new Promise(setImmediate)
    must(this.#running).applier.run(() => false, this.#parts.stepsMax)
  }

  async #open(): Promise<void> {
    const storage = await openDisk(this.#disk, undefined, {}, this.#limits)
    const applier = applierOn(storage, this.#parts.keysAtOnce, {
      coreEntryApplied: () => RAFT_STATE,
      entryApplied: (entry, result) => this.#told(entry, result),
    })
    this.#running = { storage, applier }
  }

  #told({ index }: Entry, result: ApplyResult | undefined): undefined {
    // A copy, because the result has views of buffers that are reused.
    const told = structuredClone(result)
    if (this.#heard.has(index)) expect(told).toEqual(this.#heard.get(index))
    else this.#heard.set(index, told)
  }

  /** Installs a snapshot of a replica that is ahead and has other limits. */
  async #install(ahead: number, limits: Partial<StoreLimits>): Promise<void> {
    const { storage, applier } = must(this.#running)
    const index = storage.applied.index + ahead
    if (ahead === 0 || index > this.#commit) return
    const sender = await new Replica(
      { initial: this.#initial, entries: this.#log },
      this.#heard,
      limits,
    ).start()
    await sender.applyTo(index)
    const source = must(sender.#running).storage.snapshotSource()
    await stream(source, must(await sinkFor(storage, source)))
    const snapshot = { meta: metaOf(source), snapshotId: source.id, keepLog: true }
    applier.clear()
    await this.#store([write({ snapshot })])
    applier.reload()
    source.close()
    await sender.end()
  }

  async #store(writes: readonly ReturnType<typeof write>[]): Promise<void> {
    const { storage } = must(this.#running)
    await store(storage, batch(hardState(TERM, this.#commit), writes))
    while (storage.rowsLeft) await store(storage, batch(hardState(TERM, this.#commit)))
  }

  /** The whole content, read from the disk after everything has been written. */
  async picture(): Promise<unknown> {
    await this.#store([])
    const { storage } = must(this.#running)
    await closed(storage)
    await this.#open()
    const opened = must(this.#running).storage
    await scrub(opened)
    const { index, kv } = opened.applied
    return { index, kv: hex(kv), stateHash: opened.stateHash, rows: await rowsOf(opened) }
  }

  end(): Promise<void> {
    return closed(must(this.#running).storage)
  }
}

async function rowsOf(storage: Storage): Promise<readonly string[]> {
  const scan = storage.scan({ gte: Uint8Array.of(0), lt: Uint8Array.of(255), reverse: false })
  const rows = await new Promise<readonly StoredRow[]>((resolve, reject) => {
    scan.next({ rowsMax: 1e6, bytesMax: 1e9 }, (error, rows) =>
      error === undefined ? resolve(rows) : reject(error),
    )
  })
  scan.close()
  return rows.map(({ key, value }) => `${hex(key)}=${hex(value)}`)
}

test('every entry has one outcome, and all replicas hold the same', async () => {
  await fc.assert(
    fc.asyncProperty(
      log,
      limits,
      parts,
      fc.array(step, { maxLength: 25 }),
      async (log, drawn, inParts, steps) => {
        const heard: Heard = new Map()
        const plainLife = await new Replica(log, heard).start()
        await plainLife.applyTo(FIRST + log.entries.length)
        const expected = await plainLife.picture()
        await plainLife.end()
        const other = await new Replica(log, heard, drawn, inParts).start()
        for (const step of steps) await other.live(step)
        await other.applyTo(FIRST + log.entries.length)
        expect(await other.picture()).toEqual(expected)
        await other.end()
      },
    ),
    { numRuns: runs(300) },
  )
})
