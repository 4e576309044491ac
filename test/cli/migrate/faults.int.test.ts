// Migrations whose answers are lost, late and doubled, and that are killed at each transaction of the target, in both
// directions. The model of the target is the list of changes of the source: it shares no code with the migration.

import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type MigrationResult, migrate } from '../../../src/cli/migrate/migration.ts'
import { TargetLimits } from '../../../src/cli/migrate/target-limits.ts'
import {
  type CallOptions,
  Client,
  type NewLease,
  OutcomeUnknownError,
  type Txn,
  type TxnOptions,
} from '../../../src/client/index.ts'
import { type EmbeddedCluster, startCluster } from '../../../src/embed/index.ts'
import { EtcdClient } from '../../../src/etcd-client/index.ts'
import { runs } from '../../runs.ts'
import { TIMEOUT_MS } from './sides.ts'

const DIRECTIONS = ['from', 'to'] as const
type Direction = (typeof DIRECTIONS)[number]

/** A generator of numbers below 1 (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const lost = () => new OutcomeUnknownError('lost', { code: 'outcome_unknown', written: 'unknown' })

type Fault = 'none' | 'not made' | 'made' | 'made late' | 'made twice'

/** A client of etcd's API, whose changes have the faults that `next` names. */
class FaultyClient extends EtcdClient {
  next: (call: 'txn' | 'grant') => Fault = () => 'none'
  /** Changes that are made late: right before the next one, or at the end. */
  readonly #late: (() => Promise<unknown>)[] = []

  async makeLate(): Promise<void> {
    for (const run of this.#late.splice(0)) await run().catch(() => {})
  }

  override txn(txn: Txn, options: TxnOptions) {
    // The migration only changes through transactions.
    return this.#make('txn', () => super.txn(txn, options))
  }

  override grantLease(lease: NewLease, options: CallOptions) {
    return this.#make('grant', () => super.grantLease(lease, options))
  }

  async #make<T>(call: 'txn' | 'grant', run: () => Promise<T>): Promise<T> {
    await this.makeLate()
    switch (this.next(call)) {
      case 'none':
        return run()
      case 'not made':
        throw lost()
      case 'made':
        await run()
        throw lost()
      case 'made late':
        this.#late.push(run)
        throw lost()
      case 'made twice': {
        const first = await run()
        await run().catch(() => {})
        return first
      }
    }
  }
}

interface Both {
  readonly source: Client
  readonly target: FaultyClient
}

/** `to` is read and written through etcd's API; so is `from`, if that is the side of etcd. */
function openSides(direction: Direction, [from, to]: readonly EmbeddedCluster[]): Both & AsyncDisposable {
  const endpoints = from?.endpoints ?? []
  const timeoutMs = TIMEOUT_MS
  const source =
    direction === 'from' ? new EtcdClient({ endpoints, timeoutMs }) : new Client({ endpoints, timeoutMs })
  const target = new FaultyClient({ endpoints: to?.endpoints ?? [], timeoutMs })
  return {
    source,
    target,
    [Symbol.asyncDispose]: async () => {
      await target.makeLate()
      await Promise.all([source.close(), target.close()])
    },
  }
}

const run = ({ source, target }: Both, prefix: string, signal: AbortSignal, until?: AbortSignal) =>
  migrate({
    ...{ source, target, writer: target, sourceId: '1', limits: new TargetLimits(), prefix, signal, until },
    onEvent: () => {},
  })

/** Limit on the number of a transaction at which a run is killed: the last ones are behind its end. */
const KILL_AT_MAX = 14
/** A migration has at least so many transactions. */
const TRANSACTIONS_MIN = 6
/** `npm run test:long` kills a run at each transaction, and `npm test` at every second one from a drawn one. */
const KILL_STEP = runs(100) < 100 ? 2 : 1

/** The revision at which the target begins. */
const RAISED = 1_000_000

const NEVER = new AbortController().signal

/** Puts, deletes, keys of leases, a transaction of many keys, and a topic. */
async function fill(source: Client, prefix: string): Promise<void> {
  const { id } = await source.grantLease({ ttlMs: 600_000 })
  for (let n = 0; n < 6; n++) await source.put(`${prefix}${n}`, `${n}`)
  await source.put(`${prefix}leased/1`, '1', { lease: id })
  await source.put(`${prefix}leased/2`, '2', { lease: id })
  await source.txn({
    success: Array.from({ length: 128 }, (_, n) => ({ put: { key: `${prefix}many/${n}`, value: '' } })),
  })
}

/** The later changes of the source. One of them has more keys than a transaction of the target. */
async function change(source: Client, prefix: string): Promise<void> {
  for (let n = 0; n < 4; n++) await source.put(`${prefix}counter`, `${n}`)
  await source.delete(`${prefix}1`)
  await source.deleteRange({ prefix: `${prefix}many/` })
  await source.put(`${prefix}counter`, 'last')
}

/** Waits until the target has the last of these changes, or the run has ended. */
async function copied({ target }: Both, prefix: string, run: Promise<unknown>): Promise<void> {
  let isOver = false
  const end = () => {
    isOver = true
  }
  run.then(end, end)
  while (!isOver && (await target.get(`${prefix}counter`))?.text() !== 'last') await sleep(20)
}

/** Keys with their leases and values, read without the migration. */
async function content(client: Client, prefix: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for await (const { key, lease, value } of client.list({ prefix }))
    found[key] = `${lease} ${Buffer.from(value).toString('hex')}`
  return found
}

/** The values that a key has had, in order. */
async function valuesOf(client: Client, key: string, fromRevision: number): Promise<readonly string[]> {
  const { modRevision = 0 } = (await client.get(key)) ?? {}
  const values: string[] = []
  for await (const { revision, events } of client.watch({ key, fromRevision })) {
    for (const event of events) if (event.type === 'put') values.push(event.kv.text())
    if (revision >= modRevision) break
  }
  return values
}

async function expectSame({ source, target }: Both, prefix: string, what: string): Promise<void> {
  expect(await content(target, prefix), what).toEqual(await content(source, prefix))
}

describe.each(DIRECTIONS)('a migration %s etcd', (direction) => {
  let clusters: readonly EmbeddedCluster[] = []
  const open = () => openSides(direction, clusters)
  beforeAll(async () => {
    clusters = await Promise.all([startCluster({ nodes: 1 }), startCluster({ nodes: 1 })])
    // Through etcd's API, this would take many writes.
    await clusters[1]?.client().raiseRevision(RAISED)
  })
  afterAll(() => Promise.all(clusters.map((cluster) => cluster.close())))

  it.each(['not made', 'made'] as const)(
    'that is killed at each transaction, which was %s, is continued to the same end',
    async (fault) => {
      await using both = open()
      /** Run that is killed at a transaction of the target. Resolves to whether there was one. */
      const isKilledAt = async (at: number): Promise<boolean> => {
        const prefix = `${direction}-${fault.replace(' ', '-')}-${at}/`
        const { source } = both
        await using own = open()
        const kill = new AbortController()
        let transactions = 0
        own.target.next = (call) => {
          if (call === 'grant') return 'none'
          transactions += 1
          // A change that is not made stands for a kill before the transaction was sent.
          if (transactions === at) {
            kill.abort()
            return fault
          }
          return 'none'
        }
        await fill(source, prefix)
        const end = new AbortController()
        const killed = run(own, prefix, kill.signal, end.signal).then(
          () => false,
          () => true,
        )
        await change(source, prefix)
        await copied(both, prefix, killed)
        end.abort()
        const isKilled = await killed
        await source.put(`${prefix}after`, 'the kill')
        const result: MigrationResult = await run(both, prefix, NEVER)
        expect([result.different, result.isAbove]).toEqual([0, true])
        await expectSame(both, prefix, `${prefix} was killed`)
        return isKilled
      }
      const points: number[] = []
      for (let at = 1 + randomInt(KILL_STEP); at <= KILL_AT_MAX; at += KILL_STEP) points.push(at)
      const kills = await Promise.all(points.map(isKilledAt))
      const survived = points.filter((_, index) => !kills[index])
      expect(survived.filter((at) => at <= TRANSACTIONS_MIN)).toEqual([])
    },
  )

  it('makes each change once, however answers are lost, late and doubled', async () => {
    const seeds = Array.from({ length: runs(12) }, () => Math.floor(Math.random() * 2 ** 31))
    await Promise.all(
      seeds.map(async (seed) => {
        const prefix = `${direction}-seed-${seed}/`
        await using both = open()
        const { source, target } = both
        const random = seeded(seed)
        const faults: readonly Fault[] = ['not made', 'made', 'made late', 'made twice']
        target.next = () =>
          random() < 0.4 ? (faults[Math.floor(random() * faults.length)] ?? 'none') : 'none'
        await fill(source, prefix)
        const end = new AbortController()
        const running = run(both, prefix, NEVER, end.signal)
        await change(source, prefix)
        await copied(both, prefix, running)
        end.abort()
        const result = await running
        target.next = () => 'none'
        await target.makeLate()
        expect(result, `seed ${seed}`).toMatchObject({ different: 0 })
        await expectSame(both, prefix, `seed ${seed}`)
        const [ours, theirs] = [
          await valuesOf(source, `${prefix}counter`, 1),
          await valuesOf(target, `${prefix}counter`, RAISED + 2),
        ]
        // A copy begins with the newest value.
        expect(ours.slice(-theirs.length), `seed ${seed}`).toEqual(theirs)
      }),
    )
  })
})
