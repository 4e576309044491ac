// A registered instance, whatever becomes of its writes and its leases, in a time that the test makes pass. Each update
// sets a value of its own, so the record in the store tells which updates it holds:
//
// - What has resolved has been in the store, and stays, or what was set later; what failed with "written: no" has never
//   been there.
// - What was there when the caller heard of it is not overwritten by what was set before it, also if the outcome was
//   unknown: the caller may have looked.
// - When everything is answered again the instance is listed, also after it was lost once more, and nothing goes on.

import { getEventListeners } from 'node:events'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import {
  AbortedError,
  type KvRecord,
  OutcomeUnknownError,
  QuorateError,
  type Session,
  type SessionOptions,
  type Txn,
  type TxnResult,
  UnavailableError,
} from '../../src/client/index.ts'
import { registry } from '../../src/recipes/registry.ts'
import { runs } from '../runs.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => void vi.useRealTimers())

const CALL_MS = 5_000
const TTL_MS = 4_000
/** The lease of another process that has registered under the same id. */
const OTHER = 'of another process'

/**
 * What becomes of a transaction. `lateMs` later it reaches the store all the same. One that the client has sent twice
 * is answered without what it has read.
 */
type Fate =
  | {
      readonly kind: 'answered'
      readonly thereMs: number
      readonly backMs: number
      readonly isSentTwice: boolean
    }
  | { readonly kind: 'refused' }
  | { readonly kind: 'unknown'; readonly thereMs: number | undefined; readonly lateMs: number }
  | { readonly kind: 'hangs'; readonly thereMs: number | undefined }

const ms = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 50 }), fc.integer({ min: 50, max: 2_500 }))
const maybeMs = fc.option(ms, { nil: undefined })
const fate: fc.Arbitrary<Fate> = fc.oneof(
  {
    arbitrary: fc.record({
      kind: fc.constant('answered' as const),
      thereMs: ms,
      backMs: ms,
      isSentTwice: fc.boolean(),
    }),
    weight: 3,
  },
  { arbitrary: fc.record({ kind: fc.constant('refused' as const) }), weight: 1 },
  {
    arbitrary: fc.record({ kind: fc.constant('unknown' as const), thereMs: maybeMs, lateMs: ms }),
    weight: 2,
  },
  { arbitrary: fc.record({ kind: fc.constant('hangs' as const), thereMs: maybeMs }), weight: 1 },
)
/** What becomes of the grant of a lease, and of its revocation when the session is closed. */
interface Grant {
  readonly outcome: 'granted' | 'refused' | 'closed'
  readonly afterMs: number
  readonly isRevoked: boolean
  readonly closeMs: number
}
const ANSWERED: Fate = { kind: 'answered', thereMs: 0, backMs: 0, isSentTwice: false }
const GRANTED: Grant = { outcome: 'granted', afterMs: 0, isRevoked: true, closeMs: 0 }
const grant: fc.Arbitrary<Grant> = fc.record({
  outcome: fc.constantFrom('granted', 'granted', 'granted', 'refused'),
  afterMs: ms,
  isRevoked: fc.boolean(),
  closeMs: ms,
})
/** What an update changes. */
const KINDS = ['url', 'weight', 'meta'] as const
type Kind = (typeof KINDS)[number]
const changeOf = (kind: Kind, number: number) =>
  ({ url: { url: String(number) }, weight: { weight: number }, meta: { meta: { number } } })[kind]
const update = fc.record({
  kind: fc.constantFrom(...KINDS),
  isAwaited: fc.boolean(),
  endMs: fc.option(ms, { freq: 5, nil: undefined }),
  thenMs: ms,
})
/** Of the lease, or of the key: it is deleted, or another process has it, and has it no longer. */
const LOSSES = ['revoked', 'here only', 'deleted', 'replaced', 'not replaced'] as const
const loss = fc.record({ kind: fc.constantFrom(...LOSSES), thenMs: ms })
const step = fc.oneof({ arbitrary: update, weight: 2 }, { arbitrary: loss, weight: 1 })

interface Update {
  readonly kind: Kind
  readonly number: number
  outcome: 'none' | 'done' | 'no' | 'unknown'
}

interface Held {
  readonly url: number
  readonly weight: number
  readonly meta: number
  readonly lease: string
  readonly modRevision: number
}

class World {
  readonly updates: Update[] = []
  /** Of the next calls. When none is left, they are answered, and granted. */
  readonly fates: Fate[] = []
  readonly grants: Grant[] = []
  held: Held | undefined
  /** What its caller might have seen, and what was there before is there again. */
  readonly undone: string[] = []
  calls = 0
  sessions = 0
  readonly lifetimes = new Set<number | undefined>()
  readonly #leases = new Map<string, AbortController>()
  readonly #seen = new Set<string>()
  #granted = 0
  #revision = 1

  wasSeen({ kind, number }: Update): boolean {
    return this.#seen.has(`${kind} ${number}`)
  }

  /** The lease ends, and its keys with it. */
  revoke(lease: string): void {
    this.#leases.delete(lease)
    if (this.held?.lease === lease) this.held = undefined
  }

  get leases(): readonly string[] {
    return [...this.#leases.keys()]
  }

  lose(how: (typeof LOSSES)[number]): void {
    if (how === 'deleted') this.held = undefined
    if (how === 'replaced')
      this.held = { url: 0, weight: 0, meta: 0, lease: OTHER, modRevision: ++this.#revision }
    if (how === 'not replaced') this.revoke(OTHER)
    const lease = String(this.#granted)
    const session = this.#leases.get(lease)
    if (how === 'revoked') {
      this.revoke(lease)
      // With the next keep-alive.
      setTimeout(() => session?.abort(new Error('revoked')), TTL_MS / 3)
    }
    if (how === 'here only') {
      session?.abort(new Error('no answer'))
      setTimeout(() => this.revoke(lease), TTL_MS)
    }
  }

  readonly session = async ({ signal, ttlMs }: SessionOptions = {}): Promise<Session> => {
    this.sessions += 1
    this.lifetimes.add(ttlMs)
    if (signal?.aborted === true) throw aborted('no')
    const { outcome, afterMs, isRevoked, closeMs } = this.grants.shift() ?? GRANTED
    await unlessAborted(passed(afterMs), signal)
    if (outcome === 'refused') throw noLeader()
    if (outcome === 'closed')
      throw new AbortedError('the client was closed', { code: 'closed', written: 'no' })
    const lease = String(++this.#granted)
    const over = new AbortController()
    this.#leases.set(lease, over)
    const close = async () => {
      if (over.signal.aborted) return false
      over.abort(new Error('closed'))
      await passed(closeMs)
      if (isRevoked) this.revoke(lease)
      else setTimeout(() => this.revoke(lease), TTL_MS)
      return isRevoked
    }
    let closing: Promise<boolean> | undefined
    return {
      lease,
      ttlMs: TTL_MS,
      signal: over.signal,
      get leftMs() {
        return over.signal.aborted ? 0 : TTL_MS
      },
      throwIfLost: () => over.signal.throwIfAborted(),
      put: () => Promise.reject(new Error('not used')),
      close: () => {
        closing ??= close()
        return closing
      },
      [Symbol.asyncDispose]: async () => {},
    }
  }

  readonly txn = async (txn: Txn, { signal }: { readonly signal?: AbortSignal | undefined } = {}) => {
    this.calls += 1
    const known = this.updates.filter(({ outcome }) => outcome !== 'none')
    const fate = this.fates.shift() ?? ANSWERED
    const apply = () => this.#apply(txn, known)
    const later = (afterMs: number) => setTimeout(apply, afterMs)
    if (signal?.aborted === true) throw aborted('no')
    switch (fate.kind) {
      case 'refused':
        throw noLeader()
      case 'answered': {
        let result: TxnResult | undefined
        const isThere = passed(fate.thereMs).then(() => {
          result = apply()
          if (fate.isSentTwice && result?.succeeded === false) result = OMITTED
        })
        await unlessAborted(
          isThere.then(() => passed(fate.backMs)),
          signal,
        )
        if (result === undefined)
          throw new QuorateError('no lease', { code: 'lease_not_found', written: 'no' })
        return result
      }
      case 'unknown':
        if (fate.thereMs !== undefined) later(fate.thereMs + fate.lateMs)
        await unlessAborted(passed(fate.thereMs ?? 0), signal)
        throw unknown()
      case 'hangs':
        if (fate.thereMs !== undefined) later(fate.thereMs)
        await unlessAborted(passed(CALL_MS), signal)
        throw unknown()
    }
  }

  #apply({ compare = [], success = [] }: Txn, known: readonly Update[]): TxnResult | undefined {
    const [compared] = compare
    const before = this.held
    const isAbsent = compared !== undefined && 'exists' in compared && compared.exists === false
    const wanted = compared !== undefined && 'to' in compared ? Number(compared.to) : undefined
    const succeeded = isAbsent ? before === undefined : before?.modRevision === wanted
    if (!succeeded) {
      const kvs = before === undefined ? [] : [recordOf(before)]
      return { succeeded, revision: this.#revision, results: [{ get: { kvs } }] } as never
    }
    const put = (success[0] as { put: { value: string; lease: string } }).put
    if (!this.#leases.has(put.lease)) return undefined
    const { url, weight, meta } = JSON.parse(put.value)
    const now = {
      url: Number(url),
      weight,
      meta: meta.number,
      lease: put.lease,
      modRevision: ++this.#revision,
    }
    for (const kind of KINDS) {
      this.#seen.add(`${kind} ${now[kind]}`)
      const isUndone = before !== undefined && now[kind] < before[kind]
      const undone = known.find((update) => update.kind === kind && update.number === before?.[kind])
      if (isUndone && undone !== undefined) this.undone.push(`${kind} ${before[kind]} by ${now[kind]}`)
    }
    this.held = now
    return { succeeded, revision: this.#revision, results: [{ put: {} }] } as never
  }
}

const OMITTED = { succeeded: false, revision: 0, results: [{ get: { omitted: true } }] } as never

const passed = (afterMs: number) =>
  afterMs === 0 ? Promise.resolve() : new Promise<void>((resolve) => setTimeout(resolve, afterMs))

/** As the client does it: the call ends, and what was sent goes on. */
const unlessAborted = (call: Promise<void>, signal: AbortSignal | undefined) =>
  new Promise<void>((resolve, reject) => {
    const onAbort = () => reject(aborted('unknown'))
    signal?.addEventListener('abort', onAbort)
    void call.then(resolve).finally(() => signal?.removeEventListener('abort', onAbort))
  })

const recordOf = ({ url, weight, meta: number, lease, modRevision }: Held) =>
  ({ lease, modRevision, json: () => ({ url: String(url), weight, meta: { number } }) }) as Partial<KvRecord>

const unknown = () =>
  new OutcomeUnknownError('lost', { code: 'outcome_unknown', written: 'unknown', status: 504 })
const aborted = (written: 'no' | 'unknown') => new AbortedError('aborted', { code: 'aborted', written })
const noLeader = () => new UnavailableError('no leader', { code: 'no_leader', written: 'no', status: 503 })

const kvOf = ({ session, txn }: World) =>
  ({ session, txn, watch: () => Promise.reject(new Error('not used')) }) as never

const expectSettled = ({ updates }: World) =>
  expect(updates.filter(({ outcome }) => outcome === 'none')).toEqual([])

function expectRight({ updates, undone, held }: World): void {
  expect(undone).toEqual([])
  for (const kind of KINDS) {
    const own = updates.filter((update) => update.kind === kind)
    const last = own.findLastIndex(({ outcome }) => outcome === 'done')
    const may = own.slice(last + 1).filter(({ outcome }) => outcome === 'unknown')
    const allowed = [own[last]?.number ?? 0, ...may.map(({ number }) => number)]
    expect(allowed, JSON.stringify(updates)).toContain(held?.[kind])
  }
}

async function expectAtRest(world: World): Promise<void> {
  const { calls } = world
  await vi.advanceTimersByTimeAsync(60_000)
  expect(world.calls).toBe(calls)
}

test('an instance is as its updates have made it, whatever becomes of its writes and its leases', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fate, { maxLength: 14 }),
      fc.array(grant, { maxLength: 6 }),
      fc.array(step, { maxLength: 12 }),
      fc.nat({ max: 2 }),
      fc.option(fc.constantFrom('revoked' as const, 'here only' as const), { nil: undefined }),
      async (fates, grants, steps, eagerness, lastLoss) => {
        vi.clearAllTimers()
        const world = new World()
        const pass = (timeMs: number) => vi.advanceTimersByTimeAsync(timeMs)
        const update = (kind: Kind, endMs?: number) => {
          const own: Update = { kind, number: world.updates.length + 1, outcome: 'none' }
          world.updates.push(own)
          const end = new AbortController()
          if (endMs !== undefined) setTimeout(() => end.abort(), endMs)
          instance.update(changeOf(kind, own.number), { signal: end.signal }).then(
            () => {
              own.outcome = 'done'
              if (!world.wasSeen(own)) world.undone.push(`${kind} ${own.number} was never there`)
            },
            (error: unknown) => {
              own.outcome = error instanceof QuorateError && error.written === 'no' ? 'no' : 'unknown'
            },
          )
          return own
        }
        let eager = eagerness
        const onProblem = () => {
          if (eager-- > 0) update('weight')
        }
        const first = { id: 'a', url: '0', weight: 0, meta: { number: 0 }, ttlMs: TTL_MS, onProblem }
        const instance = await registry(kvOf(world), 'api').register(first)
        world.fates.push(...fates)
        world.grants.push(...grants)
        for (const next of steps) {
          if ('endMs' in next) {
            const own = update(next.kind, next.endMs)
            for (let waited = 0; next.isAwaited && own.outcome === 'none'; waited++) {
              expect(waited).toBeLessThan(200)
              await pass(1_000)
            }
          } else world.lose(next.kind)
          await pass(next.thenMs)
        }
        if (lastLoss !== undefined) {
          // From now on everything is answered.
          world.fates.length = 0
          world.grants.length = 0
          eager = 0
          await pass(120_000)
          expectSettled(world)
          await expectAtRest(world)
          const at = world.held
          const isOwn = at !== undefined && at.lease !== OTHER
          if (isOwn) expectRight(world)
          world.lose(lastLoss)
          await pass(60_000)
          expect([instance.isRegistered, world.leases]).toEqual([true, [world.held?.lease]])
          expectRight(world)
          if (isOwn) expect(KINDS.map((kind) => world.held?.[kind])).toEqual(KINDS.map((kind) => at[kind]))
          await expectAtRest(world)
        }
        let isClosed: boolean | undefined
        void instance.close().then((is) => {
          isClosed = is
        })
        await pass(60_000)
        if (lastLoss === undefined) expect(isClosed).toBeDefined()
        else expect(isClosed).toBe(true)
        expectSettled(world)
        expect([undefined, OTHER]).toContain(world.held?.lease)
        expect([world.undone, world.leases, vi.getTimerCount()]).toEqual([[], [], 0])
        await expectAtRest(world)
        for (const update of world.updates)
          if (update.outcome === 'no') expect([update, world.wasSeen(update)]).toEqual([update, false])
      },
    ),
    { numRuns: runs(300) },
  )
})

/** An instance whose next writes have these fates. */
async function registered(...fates: Fate[]) {
  const world = new World()
  const problems: unknown[] = []
  const onProblem = (problem: unknown) => void problems.push(problem)
  const instance = await registry(kvOf(world), 'api').register({
    id: 'a',
    url: '0',
    weight: 0,
    meta: { number: 0 },
    onProblem,
  })
  world.fates.push(...fates)
  return { world, problems, instance }
}

const neverThere = { kind: 'unknown', thereMs: undefined, lateMs: 0 } as const
const refused = { kind: 'refused' } as const

test('it looks no more for what became of an update when another process has registered', async () => {
  const { world, problems, instance } = await registered(neverThere, refused)
  await expect(instance.update({ weight: 1 })).rejects.toMatchObject({ written: 'unknown' })
  world.lose('replaced')
  await vi.advanceTimersByTimeAsync(60_000)
  expect(problems).toMatchObject([{ code: 'no_leader' }, { code: 'registration_replaced' }])
  expect([world.calls, vi.getTimerCount()]).toEqual([4, 0])
  await instance.close()
  expect(world.held).toMatchObject({ lease: OTHER })
})

test('it looks no more for what became of an update when another one is written', async () => {
  const { world, instance } = await registered(neverThere, refused)
  await expect(instance.update({ weight: 1 })).rejects.toMatchObject({ written: 'unknown' })
  await vi.advanceTimersByTimeAsync(1)
  await instance.update({ weight: 2 })
  await vi.advanceTimersByTimeAsync(0)
  expect([world.held?.weight, world.calls, vi.getTimerCount()]).toEqual([2, 4, 0])
  await instance.close()
})

const lost = { message: 'no answer' }

test.each([
  ['was refused', refused, [{ code: 'no_leader' }, lost]],
  ['has no answer', { kind: 'hangs', thereMs: undefined } as const, [lost]],
])(
  'an instance that registers again looks no more for what became of an update (its look %s)',
  async (_, look, told) => {
    const { world, problems, instance } = await registered(neverThere, look)
    await expect(instance.update({ weight: 1 })).rejects.toMatchObject({ written: 'unknown' })
    await vi.advanceTimersByTimeAsync(1)
    world.lose('here only')
    await vi.advanceTimersByTimeAsync(60_000)
    expect(problems).toMatchObject(told)
    expect([world.held?.weight, world.calls, vi.getTimerCount()]).toEqual([0, 4, 0])
    expect([...world.lifetimes]).toEqual([10_000])
    await instance.close()
  },
)

test('an answer that does not say what has become of an update is asked for again', async () => {
  const written = { kind: 'unknown', thereMs: 0, lateMs: 0 } as const
  const { world, problems, instance } = await registered(written, refused, { ...ANSWERED, isSentTwice: true })
  await expect(instance.update({ weight: 1 })).rejects.toMatchObject({ written: 'unknown' })
  await vi.advanceTimersByTimeAsync(60_000)
  expect([problems.length, world.sessions, world.held?.weight]).toEqual([1, 1, 1])
  world.lose('revoked')
  await vi.advanceTimersByTimeAsync(60_000)
  expect([world.sessions, world.held?.weight]).toEqual([2, 1])
  await instance.close()
})

test('it registers again as soon as a write says that its lease has ended', async () => {
  const { world, problems, instance } = await registered(neverThere)
  const updating = expect(instance.update({ weight: 1 })).rejects.toMatchObject({ written: 'unknown' })
  world.lose('revoked')
  await updating
  await vi.advanceTimersByTimeAsync(0)
  expect(problems).toMatchObject([{ code: 'registration_lost' }])
  expect([world.held?.weight, world.sessions]).toEqual([0, 2])
  await instance.close()
})

test.each([
  ['at the same moment', false],
  ['before', true],
])('a signal ends an update although the instance is lost %s', async (_, isLater) => {
  const { world, instance } = await registered({ kind: 'hangs', thereMs: undefined })
  world.grants.push({ ...GRANTED, outcome: 'refused' })
  const end = new AbortController()
  const updating = instance.update({ weight: 1 }, { signal: end.signal })
  await vi.advanceTimersByTimeAsync(0)
  world.lose('here only')
  if (isLater) await vi.advanceTimersByTimeAsync(100)
  end.abort()
  await expect(updating).rejects.toMatchObject({ name: 'AbortError', written: 'unknown' })
  await instance.close()
})

test('every update of an instance that another process has replaced fails', async () => {
  const { world, instance } = await registered()
  world.lose('replaced')
  for (let n = 0; n < 3; n++)
    await expect(instance.update({ weight: 1 })).rejects.toMatchObject({ code: 'registration_replaced' })
  await instance.close()
  expect(world.held).toMatchObject({ lease: OTHER })
})

test('a signal hears of no update that has ended', async () => {
  const { instance } = await registered()
  const { signal } = new AbortController()
  await instance.update({ weight: 1 }, { signal })
  expect(getEventListeners(signal, 'abort')).toEqual([])
  await instance.close()
})

test('an instance that cannot register again tries it once a second', async () => {
  const { world, instance } = await registered()
  for (let n = 0; n < 20; n++) world.grants.push({ ...GRANTED, outcome: 'refused' })
  world.lose('here only')
  await vi.advanceTimersByTimeAsync(9_900)
  expect(world.sessions).toBe(1 + 10)
  await instance.close()
  expect(vi.getTimerCount()).toBe(0)
})

test('an instance whose client was closed does not register again', async () => {
  const { world, problems, instance } = await registered()
  world.grants.push({ ...GRANTED, outcome: 'closed' })
  world.lose('here only')
  await expect(instance.update({ weight: 1 })).rejects.toMatchObject({ code: 'closed', written: 'no' })
  await vi.advanceTimersByTimeAsync(60_000)
  expect([problems, world.sessions, vi.getTimerCount()]).toEqual([[expect.objectContaining(lost)], 2, 0])
})

test.each([
  ['grant of a lease', { ...GRANTED, afterMs: 4_000 }],
  ['write', GRANTED],
])('it can be closed while its %s has no answer, and says that nothing is confirmed', async (_, granted) => {
  const { world, instance } = await registered({ kind: 'hangs', thereMs: undefined })
  world.grants.push(granted)
  world.lose('here only')
  await vi.advanceTimersByTimeAsync(10)
  expect(await instance.close()).toBe(false)
})

test('when it is closed, no instance is left of a registration under way', async () => {
  const { world, instance } = await registered({ kind: 'hangs', thereMs: 10 })
  world.grants.push({ ...GRANTED, closeMs: 50 })
  world.lose('here only')
  await vi.advanceTimersByTimeAsync(20)
  expect(world.held?.lease).toBe('2')
  const closing = instance.close().then(() => world.held)
  await vi.advanceTimersByTimeAsync(100)
  expect(await closing).toBeUndefined()
})

test('no listener of the session is left when it has waited for an update', async () => {
  const { instance } = await registered()
  const [added, removed] = (['addEventListener', 'removeEventListener'] as const).map((name) =>
    vi.spyOn(AbortSignal.prototype, name),
  )
  for (let n = 0; n < 10; n++) {
    await instance.update({ weight: n })
    await vi.advanceTimersByTimeAsync(0)
  }
  // Each time those of the call and of the waiting.
  expect([added?.mock.calls.length, removed?.mock.calls.length]).toEqual([20, 20])
  vi.restoreAllMocks()
  await instance.close()
})
