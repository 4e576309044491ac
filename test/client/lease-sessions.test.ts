// Sessions by clocks that the test sets: when they end, and with which error.

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { AbortedError, OutcomeUnknownError, QuorateError, UnavailableError } from '../../src/client/errors.ts'
import { type LeaseSessionCalls, LeaseSessions } from '../../src/client/lease-sessions.ts'
import type { KeptLease, Session } from '../../src/client/lease-types.ts'
import type { Clocks } from '../../src/client/suspend-aware-clock.ts'

const TTL_MS = 10_000

/** A cluster that answers when the test says so, and the clocks of a machine. */
class Scene {
  /** Calls without an answer. */
  readonly keepAlives: {
    readonly ids: readonly string[]
    readonly timeoutMs: number | undefined
    answer(kept: readonly KeptLease[]): void
    fail(error: Error): void
  }[] = []
  readonly revoked: string[] = []
  /** Why no lease can be revoked. */
  revocation: Error | undefined
  /** Time limits of the tries to revoke a lease. */
  readonly revocations: (number | undefined)[] = []
  readonly #ends = new Set<() => void>()
  #isClosed = false
  #leases = 0
  /** The machine has slept for so long. */
  sleptMs = 0
  /** How often its clock was read. */
  looks = 0
  readonly sessions: LeaseSessions

  constructor() {
    const clocks: Clocks = {
      monotonicMs: () => performance.now(),
      uptimeMs: () => {
        this.looks += 1
        return performance.now() + this.sleptMs
      },
      stepMs: 0,
    }
    const calls: LeaseSessionCalls = {
      grantLease: async ({ ttlMs }) => ({ id: String(++this.#leases), ttlMs }),
      keepLeasesAlive: (ids, { timeoutMs }) =>
        new Promise((answer, fail) => void this.keepAlives.push({ ids, timeoutMs, answer, fail })),
      timeoutMs: 5_000,
      revokeLease: async (id, { timeoutMs }) => {
        this.revocations.push(timeoutMs)
        if (this.#isClosed) throw new AbortedError('the client is closed', { code: 'closed', written: 'no' })
        if (this.revocation !== undefined) throw this.revocation
        this.revoked.push(id)
        return { deleted: 0, revision: 1 }
      },
      put: async (_key, _value, { lease }) => {
        throw new QuorateError(`there is no lease ${lease}`, { code: 'lease_not_found', written: 'no' })
      },
      whenClosed: (end) => {
        this.#ends.add(end)
        if (this.#isClosed) end()
        return () => this.#ends.delete(end)
      },
    }
    this.sessions = new LeaseSessions(calls, clocks)
  }

  open(ttlMs = TTL_MS): Promise<Session> {
    return this.sessions.begin({ ttlMs })
  }

  closeClient(): void {
    this.#isClosed = true
    for (const end of this.#ends) end()
  }

  /** Sessions and timers that are left at the end. */
  get atRest(): boolean {
    return this.sessions.count === 0 && this.#ends.size === 0 && vi.getTimerCount() === 0
  }

  /** Answers the oldest keep-alive: all its leases live. */
  async answerAll(ttlMs: number | 'missing' = TTL_MS): Promise<void> {
    const asked = this.keepAlives.shift()
    asked?.answer(asked.ids.map((id) => ({ id, ttlMs: ttlMs === 'missing' ? undefined : ttlMs })))
    await vi.advanceTimersByTimeAsync(0)
  }
}

let scene: Scene

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
  scene = new Scene()
})

afterEach(() => {
  vi.useRealTimers()
})

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)
const lost = { name: 'SessionLostError', code: 'session_lost', written: 'no' }

test('without an answer the signal fires before the time to live is over', async () => {
  const session = await scene.open()
  await pass(TTL_MS * 0.98)
  expect([session.signal.aborted, session.leftMs > 0]).toEqual([false, true])
  session.throwIfLost()
  await pass(TTL_MS * 0.02)
  expect([session.signal.aborted, session.leftMs]).toEqual([true, 0])
  expect(session.signal.reason).toMatchObject(lost)
  expect(() => session.throwIfLost()).toThrow('no keep-alive was answered within its time to live of 10 s')
  expect(scene.sessions.count).toBe(0)
})

test.each(['at rest', 'with a keep-alive in flight'])(
  'a second after a sleep of the machine the signal has fired: %s',
  async (when) => {
    const hour = 3_600_000
    const session = await scene.open(hour)
    if (when !== 'at rest') await pass(hour / 3 + 1)
    expect(scene.keepAlives).toHaveLength(when === 'at rest' ? 0 : 1)
    scene.sleptMs = hour
    await pass(1_000)
    expect(session.signal.aborted).toBe(true)
  },
)

test('a lease is kept alive after a third of its time, and lives on for as long as answers come', async () => {
  const session = await scene.open()
  for (let round = 0; round < 20; round++) {
    await pass(TTL_MS / 3 + 1)
    expect(scene.keepAlives.map(({ ids }) => ids)).toEqual([['1']])
    await scene.answerAll()
    expect(session.leftMs).toBeGreaterThan(TTL_MS * 0.98)
  }
  expect(session.signal.aborted).toBe(false)
  await session.close()
  expect(scene.atRest).toBe(true)
})

test('the clock of the machine is read a few times for a keep-alive, however many sessions there are', async () => {
  const sessions = await Promise.all(Array.from({ length: 300 }, () => scene.open()))
  scene.looks = 0
  await pass(TTL_MS / 3 + 1)
  await scene.answerAll()
  expect(scene.looks).toBeLessThan(20)
  expect(sessions.every(({ signal }) => !signal.aborted)).toBe(true)
  scene.sleptMs = TTL_MS
  await pass(TTL_MS / 3 + 1)
  expect(sessions.every(({ signal }) => signal.aborted)).toBe(true)
})

test('its life is counted from before the keep-alive was sent, not from its answer', async () => {
  const session = await scene.open()
  await pass(TTL_MS / 3 + 1)
  await pass(6000)
  await scene.answerAll()
  expect(session.leftMs).toBeLessThanOrEqual(TTL_MS - 6000)
  expect(session.leftMs).toBeGreaterThan(0)
  // The next one is due already.
  await pass(1)
  expect(scene.keepAlives).toHaveLength(1)
  await pass(4000)
  expect(session.signal.aborted).toBe(true)
})

test('an answer that comes after the end brings nothing back', async () => {
  const session = await scene.open()
  await pass(TTL_MS)
  expect(session.signal.aborted).toBe(true)
  await scene.answerAll()
  expect([session.leftMs, session.signal.aborted]).toEqual([0, true])
  expect(scene.atRest).toBe(true)
})

test('when the machine has slept, the end is seen before any timer has run', async () => {
  const session = await scene.open()
  await pass(1000)
  scene.sleptMs = TTL_MS
  expect(session.signal.aborted).toBe(false)
  expect(session.leftMs).toBe(0)
  expect(() => session.throwIfLost()).toThrow(expect.objectContaining(lost))
  expect(session.signal.aborted).toBe(true)
})

test('a put in a session that may be over sends nothing', async () => {
  const session = await scene.open()
  scene.sleptMs = TTL_MS
  await expect(session.put('k', 'v')).rejects.toMatchObject(lost)
  expect(session.signal.aborted).toBe(true)
})

test('a keep-alive that fails is repeated; its timeout is half of what is left of the lease', async () => {
  const session = await scene.open()
  await pass(TTL_MS / 3 + 1)
  expect(scene.keepAlives[0]?.timeoutMs).toBeLessThanOrEqual(TTL_MS / 3)
  for (let round = 0; round < 5; round++) {
    scene.keepAlives.shift()?.fail(new UnavailableError('no leader', { code: 'no_leader', written: 'no' }))
    await pass(TTL_MS / 50 + 1)
    expect(scene.keepAlives).toHaveLength(1)
  }
  await scene.answerAll()
  expect(session.leftMs).toBeGreaterThan(TTL_MS * 0.98)
  expect(session.signal.aborted).toBe(false)
})

test('keep-alives that get no answer leave time for others, the last ones half a second each', async () => {
  const session = await scene.open()
  const limits: number[] = []
  while (!session.signal.aborted) {
    await pass(1)
    const [sent] = scene.keepAlives
    if (sent?.timeoutMs === undefined) continue
    limits.push(sent.timeoutMs)
    await pass(sent.timeoutMs)
    scene.keepAlives.shift()?.fail(noLeader())
  }
  expect(limits.length).toBeGreaterThan(3)
  expect(limits.slice(0, -1).every((ms) => ms >= 500)).toBe(true)
  expect(limits).toEqual(limits.toSorted((a, b) => b - a))
})

test('a session that no keep-alive saved says why the last one failed', async () => {
  const session = await scene.open()
  const error = new UnavailableError('no leader', { code: 'no_leader', written: 'no' })
  while (!session.signal.aborted) {
    scene.keepAlives.shift()?.fail(error)
    await pass(TTL_MS / 50)
  }
  expect(session.signal.reason).toMatchObject({ ...lost, cause: error })
  expect(scene.sessions.count).toBe(0)
})

test('a failure that a later keep-alive has made good is not the cause', async () => {
  const session = await scene.open()
  await pass(TTL_MS / 3 + 1)
  scene.keepAlives.shift()?.fail(new UnavailableError('no leader', { code: 'no_leader', written: 'no' }))
  await pass(TTL_MS / 50 + 1)
  await scene.answerAll()
  await pass(TTL_MS)
  expect(session.signal.reason).toMatchObject(lost)
  expect(session.signal.reason.cause).toBeUndefined()
})

test('a lease that is gone ends its session at once', async () => {
  const session = await scene.open()
  await pass(TTL_MS / 3 + 1)
  await scene.answerAll('missing')
  const { keepAlives } = scene
  expect(keepAlives).toEqual([])
  expect(session.signal.reason).toMatchObject({ ...lost, message: expect.stringContaining('revoked') })
})

test('a put that is refused because the lease is gone ends the session', async () => {
  const session = await scene.open()
  await expect(session.put('k', 'v')).rejects.toMatchObject({ code: 'lease_not_found' })
  expect(session.signal.aborted).toBe(true)
  expect(scene.atRest).toBe(true)
})

test('sessions whose time has come together are kept alive by one call, the others not', async () => {
  const first = await scene.open()
  await pass(100)
  const second = await scene.open()
  const long = await scene.open(10 * TTL_MS)
  await pass(TTL_MS / 3 - 99)
  expect(scene.keepAlives.map(({ ids }) => ids)).toEqual([[first.lease, second.lease]])
  const [asked] = scene.keepAlives
  asked?.answer([
    { id: first.lease, ttlMs: undefined },
    { id: second.lease, ttlMs: TTL_MS },
  ])
  await pass(0)
  expect([first, second, long].map(({ signal }) => signal.aborted)).toEqual([true, false, false])
})

test('a keep-alive for several sessions has the time of the one that ends first', async () => {
  const [long, short] = [await scene.open(9_000), await scene.open(1_500)]
  const ttls = { [long.lease]: 9_000, [short.lease]: 1_500 }
  let isShared = false
  for (let ms = 0; ms < 9_000 && !isShared; ms += 50) {
    await pass(50)
    const [asked] = scene.keepAlives
    if (asked === undefined) continue
    isShared = asked.ids.length === 2
    expect(asked.timeoutMs).toBeLessThanOrEqual(asked.ids.includes(short.lease) ? 1_500 : 9_000)
    if (isShared) break
    scene.keepAlives.shift()
    asked.answer(asked.ids.map((id) => ({ id, ttlMs: ttls[id] })))
  }
  expect(isShared).toBe(true)
  const [asked] = scene.keepAlives
  asked?.answer(asked.ids.map((id) => ({ id, ttlMs: ttls[id] })))
  await pass(0)
  expect([long, short].map(({ signal }) => signal.aborted)).toEqual([false, false])
  scene.closeClient()
  expect(scene.atRest).toBe(true)
})

test('sessions that begin after the last one was closed are kept alive like the first', async () => {
  for (let round = 0; round < 3; round++) {
    const session = await scene.open()
    for (let n = 0; n < 2; n++) {
      await pass(TTL_MS / 3 + 1)
      expect(scene.keepAlives.map(({ ids }) => ids)).toEqual([[session.lease]])
      await scene.answerAll()
    }
    await session.close()
    expect(scene.atRest).toBe(true)
    await pass(TTL_MS)
  }
})

test('more sessions than one request may name go in several', async () => {
  await Promise.all(Array.from({ length: 1001 }, () => scene.open()))
  await pass(TTL_MS / 3 + 1)
  expect(scene.keepAlives.map(({ ids }) => ids.length)).toEqual([1000, 1])
})

test('a session that is closed revokes its lease once, and its signal fires', async () => {
  const session = await scene.open()
  expect(await Promise.all([session.close(), session.close()])).toEqual([true, true])
  await session[Symbol.asyncDispose]()
  expect(scene.revoked).toEqual(['1'])
  expect(session.signal.reason).toMatchObject({ ...lost, message: expect.stringContaining('was closed') })
  expect(scene.atRest).toBe(true)
})

const noLeader = () => new UnavailableError('no leader', { code: 'no_leader', written: 'no' })

test('a session that is closed has no time left, also if its lease cannot be revoked', async () => {
  const session = await scene.open()
  scene.revocation = noLeader()
  const closing = session.close()
  expect(session.leftMs).toBe(0)
  await pass(5_000)
  expect(await closing).toBe(false)
  scene.closeClient()
  await pass(0)
  expect(scene.atRest).toBe(true)
})

test.each([
  ['no time', { timeoutMs: 1 }],
  ['a signal that has fired', { signal: AbortSignal.abort() }],
])('a lease is revoked as soon as nodes answer, also for a caller with %s', async (_, options) => {
  const session = await scene.open(60_000)
  scene.revocation = noLeader()
  const closing = session.close(options)
  await pass(1)
  expect(await closing).toBe(false)
  await pass(10_000)
  expect(scene.revoked).toEqual([])
  scene.revocation = new OutcomeUnknownError('lost', { code: 'outcome_unknown', written: 'unknown' })
  await pass(10_000)
  scene.revocation = undefined
  await pass(2_000)
  expect(scene.revoked).toEqual(['1'])
  expect(scene.atRest).toBe(true)
  // The later tries are short: the connection of the first one may be dead.
  expect(Math.max(...scene.revocations.slice(1).map(Number))).toBeLessThanOrEqual(2_000)
  const tries = scene.revocations.length
  expect(await session.close()).toBe(true)
  expect(scene.revocations).toHaveLength(tries)
})

test('a second close waits for the revocation in the background, within its own time', async () => {
  const session = await scene.open(60_000)
  scene.revocation = noLeader()
  void session.close({ timeoutMs: 1 })
  await pass(100)
  const again = [session.close({ timeoutMs: 500 }), session.close({ timeoutMs: 30_000 })]
  await pass(500)
  expect(await again[0]).toBe(false)
  scene.revocation = undefined
  await pass(2_000)
  expect(await again[1]).toBe(true)
  expect(scene.revoked).toEqual(['1'])
  expect(scene.atRest).toBe(true)
})

test('the revocation of a lease is no longer tried when the lease must have ended', async () => {
  const session = await scene.open()
  scene.revocation = noLeader()
  void session.close({ timeoutMs: 1 })
  await pass(TTL_MS)
  expect(scene.atRest).toBe(false)
  await pass(2 * TTL_MS)
  expect(scene.atRest).toBe(true)
  const tries = scene.revocations.length
  await pass(TTL_MS)
  expect(scene.revocations).toHaveLength(tries)
  // Another close makes another try.
  scene.revocation = undefined
  expect(await session.close()).toBe(true)
})

test('a lease that the user may not revoke is not tried again', async () => {
  const session = await scene.open()
  scene.revocation = new QuorateError('not yours', { code: 'permission_denied', written: 'no' })
  expect(await session.close()).toBe(false)
  expect(scene.revocations).toHaveLength(1)
  expect(scene.atRest).toBe(true)
})

test('a closed client revokes nothing any more', async () => {
  const session = await scene.open()
  scene.revocation = noLeader()
  const closing = session.close({ timeoutMs: 30_000 })
  await pass(100)
  scene.closeClient()
  scene.revocation = undefined
  await pass(0)
  expect(await closing).toBe(false)
  await pass(TTL_MS)
  expect([scene.revoked, scene.atRest]).toEqual([[], true])
})

test('whoever closes a session whose lease has gone hears that it has ended', async () => {
  const session = await scene.open()
  scene.revocation = new QuorateError('there is no such lease', { code: 'lease_not_found', written: 'no' })
  expect(await session.close()).toBe(true)
  const kept = await scene.open()
  await pass(TTL_MS / 3 + 1)
  await scene.answerAll('missing')
  expect([kept.signal.aborted, await kept.close()]).toEqual([true, true])
  const putting = await scene.open()
  await expect(putting.put('key', 'value')).rejects.toMatchObject({ code: 'lease_not_found' })
  expect([putting.signal.aborted, await putting.close()]).toEqual([true, true])
})

test('a lease whose session was lost is revoked in the background: it lives on if answers alone were lost', async () => {
  const session = await scene.open()
  scene.revocation = noLeader()
  await pass(TTL_MS)
  expect(await session.close()).toBe(false)
  scene.revocation = undefined
  await pass(2_000)
  expect(scene.revoked).toEqual(['1'])
  expect(await session.close()).toBe(true)
  expect(scene.atRest).toBe(true)
})

test('when the client is closed, its sessions are over', async () => {
  const session = await scene.open()
  scene.closeClient()
  expect(session.signal.reason).toMatchObject({
    ...lost,
    message: expect.stringContaining('client was closed'),
  })
  expect(scene.atRest).toBe(true)
})

test('a session whose lease is granted while the client is closed is over, and leaves nothing behind', async () => {
  const opening = scene.open()
  scene.closeClient()
  const session = await opening
  expect(session.signal.reason).toMatchObject(lost)
  expect(scene.atRest).toBe(true)
})

test('a wrong option of close changes nothing: the session goes on, and can be closed', async () => {
  const session = await scene.open()
  const wrong = { timeoutMS: 100 } as object
  await expect(session.close(wrong)).rejects.toThrow('did you mean timeoutMs?')
  expect([session.signal.aborted, scene.revoked]).toEqual([false, []])
  await session.close()
  expect(scene.revoked).toEqual(['1'])
  expect(scene.atRest).toBe(true)
})

test('a session of a lease that exists lives by its first keep-alive', async () => {
  const opening = scene.sessions.begin({ lease: '77' })
  await pass(0)
  expect(scene.keepAlives.map(({ ids }) => ids)).toEqual([['77']])
  await pass(2000)
  await scene.answerAll(5000)
  const session = await opening
  expect([session.lease, session.ttlMs]).toEqual(['77', 5000])
  expect(session.leftMs).toBeLessThanOrEqual(3000)
})

test('of a lease that does not exist there is no session', async () => {
  const opening = scene.sessions.begin({ lease: '77' })
  const refused = expect(opening).rejects.toMatchObject({ code: 'lease_not_found', written: 'no' })
  await pass(0)
  await scene.answerAll('missing')
  await refused
  expect(scene.atRest).toBe(true)
})

test('a session that begins costs the same however many there are', async () => {
  const looksOf = async (count: number): Promise<number> => {
    const before = scene.looks
    for (let n = 0; n < count; n++) await scene.open()
    return scene.looks - before
  }
  const few = await looksOf(10)
  await looksOf(500)
  expect(await looksOf(10)).toBeLessThanOrEqual(few)
  scene.closeClient()
  expect(scene.atRest).toBe(true)
})

test('a session with a shorter time is kept alive in time, also if it begins behind one with a longer time', async () => {
  const long = await scene.open()
  const short = await scene.open(1_500)
  await pass(500)
  expect(scene.keepAlives.map(({ ids }) => ids)).toEqual([[short.lease]])
  await scene.answerAll(1_500)
  await pass(TTL_MS / 3)
  expect(scene.keepAlives.flatMap(({ ids }) => ids)).toContain(long.lease)
  scene.closeClient()
})
