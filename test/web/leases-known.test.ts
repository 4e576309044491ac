// The time that is left to leases, which the page counts down, while they are renewed, end, or cannot be read.

import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { answer, problem, stubPage } from './fake-node.ts'
import { load } from './page-modules.ts'
import { type Screen, show } from './tiny-document.ts'

type Known =
  | ReadonlyMap<string, { readonly remainingTtlMs: number; readonly readAt: number } | 'ended'>
  | undefined
interface Modules {
  useLeases(ids: readonly string[]): Known
  timeLeft(lease: object, now: number): number
}
const node = stubPage()
let page: Modules
let known: Known
let screen: Screen
/** The leases of the store: when each ends, by its id. */
let ends: Map<string, number>
const TTL_MS = 60_000
beforeAll(async () => {
  page = await load<Modules>('pages/coordination/leases-known.ts')
})
beforeEach(() => {
  vi.useFakeTimers()
  node.requests.length = 0
  ends = new Map()
  node.serve = ({ path }) => {
    const { searchParams } = new URL(path, 'http://n1')
    const limit = Number(searchParams.get('limit'))
    const after = BigInt(searchParams.get('after') ?? 0)
    const found = [...ends]
      .filter(([id, end]) => BigInt(id) > after && end > Date.now())
      .sort(([a], [b]) => (BigInt(a) < BigInt(b) ? -1 : 1))
    const leases = found.slice(0, limit).map(([id, end]) => ({
      ...{ id, granted_ttl_ms: TTL_MS, remaining_ttl_ms: end - Date.now() },
    }))
    return answer({ revision: 1, leases, more: found.length > limit })
  }
})
afterEach(async () => {
  await screen.leave()
  // Limits of requests have passed.
  await vi.advanceTimersByTimeAsync(60_000)
  expect(vi.getTimerCount()).toBe(0)
  vi.useRealTimers()
})

const open = async (...ids: string[]): Promise<void> => {
  const Leases = (): null => {
    known = page.useLeases(ids)
    return null
  }
  screen = await show(Leases, {})
}
const left = (id: string): number | 'ended' | undefined => {
  const lease = known?.get(id)
  return lease === undefined || lease === 'ended' ? lease : page.timeLeft(lease, Date.now())
}
/** A client renews its lease after a third of its time, for so long. */
async function renewFor(ms: number, id: string): Promise<void> {
  for (let time = 0; time < ms; time += TTL_MS / 3) {
    ends.set(id, Date.now() + TTL_MS)
    await vi.advanceTimersByTimeAsync(TTL_MS / 3)
  }
}

test('a lease that its client renews for an hour is never shown as over, and is seldom read', async () => {
  ends.set('5', Date.now() + TTL_MS)
  await open('5')
  for (let minute = 0; minute < 60; minute++) {
    await renewFor(60_000, '5')
    expect(left('5')).toBeGreaterThan(0)
  }
  expect(node.requests.length).toBeLessThan(3_600 / 10)
})

test('reads that fail for longer than the leases live end the countdown, and it begins anew after them', async () => {
  ends.set('5', Date.now() + TTL_MS)
  await open('5')
  const { serve } = node
  for (let time = 1; time <= 2; time++) {
    node.serve = () => problem('no_leader', 503)
    await renewFor(3 * TTL_MS, '5')
    expect(left('5')).toBe(0)
    node.serve = serve
    await renewFor(TTL_MS, '5')
    expect(left('5')).toBeGreaterThan(0)
  }
})

test('each of more leases than one request reads is known, and one that has ended is', async () => {
  for (let id = 1; id <= 30; id++) ends.set(String(id * 3), Date.now() + id * TTL_MS)
  ends.set('1000', Date.now() - 1)
  await open(...ends.keys())
  await vi.advanceTimersByTimeAsync(10)
  for (let id = 1; id <= 30; id++) expect(left(String(id * 3))).toBeGreaterThan((id - 1) * TTL_MS)
  expect(left('1000')).toBe('ended')
  await vi.advanceTimersByTimeAsync(2 * TTL_MS)
  expect([left('3'), left('6')]).toEqual(['ended', 'ended'])
})

test('of leases that are spread over more of others than are read, none is said to have ended', async () => {
  const apart = 1_000
  const wanted = Array.from({ length: 20 }, (_, at) => String((at + 1) * apart))
  for (let id = 1; id <= 20 * apart; id++) ends.set(String(id), Date.now() + TTL_MS)
  await open(...wanted)
  await vi.advanceTimersByTimeAsync(10)
  expect(left(wanted[0] ?? '')).toBeGreaterThan(0)
  for (const id of wanted) expect(left(id)).not.toBe('ended')
  expect(node.requests.length).toBeLessThan(wanted.length)
})
