// A registered instance, whatever the outcomes of its writes and the fate of its leases, in virtual time. Each
// update sets a number of its own, so the history of the key shows which updates were written:
//
// - An update that has resolved was written, and only a later update of the same field replaces it.
// - An update that has failed with `written: 'no'` was never written.
// - When all calls succeed again the instance is listed with its updates, also after another loss of its lease. When it
//   is closed it leaves no key and no timer behind.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { AbortedError, type Client, QuorateError } from '../../src/client/index.ts'
import { registry } from '../../src/recipes/registry.ts'
import { runs } from '../runs.ts'
import { noLeader, unknownOutcome } from './client-errors.ts'
import { countTimers, inSimulation, newClient, node, sleep } from './simulated-test.ts'
import { withCall } from './with-call.ts'

const KEY = 'service/api/a'
const CALL_MS = 5_000
const TTL_MS = 4_000

const ms = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 50 }), fc.integer({ min: 50, max: 2_500 }))
/** undefined: the transaction never reaches the store. */
const maybeMs = fc.option(ms, { nil: undefined })

/** The fate of a transaction in the network, which may deliver one after its outcome was reported as unknown. */
type Delivery =
  | { readonly kind: 'answered'; readonly thereMs: number; readonly backMs: number }
  | { readonly kind: 'rejected' }
  | { readonly kind: 'unknown' | 'hangs'; readonly thereMs: number | undefined }

const delivery: fc.Arbitrary<Delivery> = fc.oneof(
  {
    arbitrary: fc.record({ kind: fc.constant('answered' as const), thereMs: ms, backMs: ms }),
    weight: 3,
  },
  { arbitrary: fc.record({ kind: fc.constant('rejected' as const) }), weight: 1 },
  {
    arbitrary: fc.record({ kind: fc.constantFrom('unknown' as const, 'hangs' as const), thereMs: maybeMs }),
    weight: 3,
  },
)

const FIELDS = ['url', 'weight', 'meta'] as const
type Field = (typeof FIELDS)[number]
const changeOf = (field: Field, number: number) =>
  ({ url: { url: String(number) }, weight: { weight: number }, meta: { meta: { number } } })[field]
const numberIn = (field: Field, { url, weight, meta }: ReturnType<typeof JSON.parse>): number =>
  ({ url: Number(url), weight, meta: meta.number })[field]

const LOSSES = ['revoked', 'outage', 'deleted', 'replaced', 'replacement ended'] as const
type Step =
  | {
      readonly field: Field
      readonly isAwaited: boolean
      readonly abortMs: number | undefined
      readonly pauseMs: number
    }
  | { readonly loss: (typeof LOSSES)[number]; readonly pauseMs: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    arbitrary: fc.record({
      field: fc.constantFrom(...FIELDS),
      isAwaited: fc.boolean(),
      abortMs: fc.option(ms, { freq: 5, nil: undefined }),
      pauseMs: ms,
    }),
    weight: 2,
  },
  { arbitrary: fc.record({ loss: fc.constantFrom(...LOSSES), pauseMs: ms }), weight: 1 },
)

interface Update {
  readonly field: Field
  readonly number: number
  outcome: 'pending' | 'done' | 'no' | 'unknown'
}

/** A cluster whose network is faulty until `deliveries` and `grants` are used up. */
class FaultyNetwork {
  readonly kv = newClient()
  readonly deliveries: Delivery[] = []
  readonly grants: boolean[] = []
  readonly ownLeases = new Set<string>()
  #otherLease = ''

  readonly faulty: Client = withCall(
    withCall(this.kv, 'txn', async (txn, { signal } = {}) => {
      const next = this.deliveries.shift() ?? { kind: 'answered', thereMs: 0, backMs: 0 }
      if (signal?.aborted === true) throw aborted('no')
      if (next.kind === 'rejected') throw noLeader()
      const deliver = async (thereMs: number) => {
        await sleep(thereMs)
        return this.kv.txn(txn)
      }
      if (next.kind === 'answered') {
        const answer = async () => {
          const result = await deliver(next.thereMs)
          await sleep(next.backMs)
          return result
        }
        return unlessAborted(answer(), signal)
      }
      if (next.thereMs !== undefined) void deliver(next.thereMs).catch(() => undefined)
      if (next.kind === 'hangs') await unlessAborted(sleep(CALL_MS), signal)
      throw unknownOutcome()
    }),
    'session',
    async (options) => {
      if (this.grants.shift() === false) throw noLeader()
      const session = await this.kv.session(options)
      this.ownLeases.add(session.lease)
      return session
    },
  )

  async lose(loss: (typeof LOSSES)[number]): Promise<void> {
    if (loss === 'outage') {
      node().pause()
      await sleep(TTL_MS)
      node().resume()
    }
    if (loss === 'revoked') await this.kv.revokeLease([...this.ownLeases].at(-1) ?? '').catch(() => undefined)
    if (loss === 'deleted') await this.kv.delete(KEY)
    if (loss === 'replaced') {
      this.#otherLease = (await this.kv.grantLease({ ttlMs: 600_000 })).id
      await this.kv.put(KEY, '{"url":"0","weight":0,"meta":{"number":0}}', { lease: this.#otherLease })
    }
    if (loss === 'replacement ended') await this.kv.revokeLease(this.#otherLease).catch(() => undefined)
  }

  /** The values that this process has written to the key, in order. */
  async written(): Promise<readonly ReturnType<typeof JSON.parse>[]> {
    const written: ReturnType<typeof JSON.parse>[] = []
    // The last change that the watch needs.
    const { revision } = await this.kv.put(`${KEY}/end`, '')
    await using watch = this.kv.watch({ prefix: KEY, fromRevision: 2 })
    for await (const batch of watch) {
      if (batch.revision === revision) break
      for (const event of batch.events)
        if (event.type === 'put' && this.ownLeases.has(event.kv.lease ?? '')) written.push(event.kv.json())
    }
    return written
  }
}

const aborted = (written: 'no' | 'unknown') => new AbortedError('aborted', { code: 'aborted', written })

/** As in the client library: the call ends, and its message is still in flight. */
function unlessAborted<T>(call: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(aborted('unknown'))
    signal?.addEventListener('abort', onAbort)
    call.then(resolve, reject).finally(() => signal?.removeEventListener('abort', onAbort))
  })
}

function expectRight(updates: readonly Update[], written: readonly ReturnType<typeof JSON.parse>[]): void {
  for (const { field, number, outcome } of updates) {
    const numbers = written.map((each) => numberIn(field, each))
    const first = numbers.indexOf(number)
    const context = JSON.stringify({ field, number, outcome, numbers })
    if (outcome === 'done') expect(first, context).not.toBe(-1)
    if (outcome === 'no') expect(first, context).toBe(-1)
    if (outcome !== 'done') continue
    // Later updates have higher numbers.
    expect(Math.min(...numbers.slice(first)), context).toBe(number)
  }
}

/** The last update is written with a lease that ends before the answer, and another process has the id by then. */
const WRITTEN_WITH_AN_ENDED_LEASE: [Delivery[], boolean[], Step[], 'revoked', number] = [
  [
    { kind: 'unknown', thereMs: undefined },
    { kind: 'unknown', thereMs: undefined },
    { kind: 'answered', thereMs: 1, backMs: 0 },
    { kind: 'rejected' },
    { kind: 'answered', thereMs: 0, backMs: 0 },
    { kind: 'answered', thereMs: 0, backMs: 513 },
  ],
  [],
  [
    { field: 'url', isAwaited: false, abortMs: undefined, pauseMs: 49 },
    { field: 'url', isAwaited: false, abortMs: undefined, pauseMs: 2089 },
    { field: 'url', isAwaited: false, abortMs: undefined, pauseMs: 4 },
    { field: 'url', isAwaited: true, abortMs: undefined, pauseMs: 5 },
    { field: 'url', isAwaited: false, abortMs: undefined, pauseMs: 0 },
    { loss: 'replaced', pauseMs: 1 },
    { loss: 'revoked', pauseMs: 511 },
  ],
  'revoked',
  0,
]

test('an instance is as its updates have made it, whatever happens to its writes and its leases', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(delivery, { maxLength: 14 }),
      fc.array(fc.boolean(), { maxLength: 6 }),
      fc.array(step, { maxLength: 12 }),
      fc.constantFrom('revoked' as const, 'outage' as const),
      fc.nat(),
      (deliveries, grants, steps, lastLoss, seed) =>
        inSimulation(
          async () => {
            const timers = countTimers()
            const network = new FaultyNetwork()
            const updates: Update[] = []
            const services = registry(network.faulty, 'api')
            const first = { id: 'a', url: '0', weight: 0, meta: { number: 0 }, ttlMs: TTL_MS }
            const instance = await services.register(first)
            network.deliveries.push(...deliveries)
            network.grants.push(...grants)
            const update = async (field: Field, abortMs: number | undefined) => {
              const own: Update = { field, number: updates.length + 1, outcome: 'pending' }
              updates.push(own)
              const end = new AbortController()
              if (abortMs !== undefined) setTimeout(() => end.abort(), abortMs)
              try {
                await instance.update(changeOf(field, own.number), { signal: end.signal })
                own.outcome = 'done'
              } catch (error) {
                own.outcome = error instanceof QuorateError && error.written === 'no' ? 'no' : 'unknown'
              }
            }
            for (const next of steps) {
              if ('field' in next) {
                const updating = update(next.field, next.abortMs)
                if (next.isAwaited) await updating
              } else await network.lose(next.loss)
              await sleep(next.pauseMs)
            }
            network.deliveries.length = 0
            network.grants.length = 0
            // As long as another process has the id, this one is not listed, and knows it.
            await network.lose('replacement ended')
            await sleep(30_000)
            await network.lose(lastLoss)
            await sleep(20_000)
            expect(updates.filter(({ outcome }) => outcome === 'pending')).toEqual([])
            expect(instance.isRegistered).toBe(true)
            const [listed] = await services.list()
            expect(network.ownLeases).toContain((await network.kv.get(KEY))?.lease)
            const written = await network.written()
            expect(listed).toMatchObject({ id: 'a', url: String(numberIn('url', written.at(-1))) })
            expectRight(updates, written)
            expect(await instance.close()).toBe(true)
            await sleep(10_000)
            expect(await services.list()).toEqual([])
            await network.kv.close()
            expect(timers()).toBe(0)
          },
          { seed },
        ),
    ),
    { numRuns: runs(100), examples: [WRITTEN_WITH_AN_ENDED_LEASE] },
  )
})
