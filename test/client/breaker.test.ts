// The circuit breaker of an endpoint, seen from outside: which nodes a client asks while an endpoint fails. Time passes
// only when a test advances the fake clock.

import { beforeEach, expect, test, vi } from 'vitest'
import type { Client } from '../../src/client/index.ts'
import type { RelayedNode } from './relayed-node.ts'
import { clientOf, failure, fake, freezeTime, noQuorum, passes } from './with-fakes.ts'

beforeEach(freezeTime)

/** Longer than any pause. */
const PAUSE_MS = 5_000
const LONG = { timeoutMs: 3_600_000 }
/** With such a timeout a node may be silent for so long before another one is asked. */
const PATIENCE_MS = 1_000

/** Two nodes. The first stays silent, and the client knows that. */
async function besideOneThatIsStuck(): Promise<{ kv: Client; stuck: RelayedNode; up: RelayedNode }> {
  const [stuck, up] = [await fake(), await fake('n2')]
  stuck.fault = () => 'hang'
  const kv = clientOf([stuck, up], LONG)
  const puts = [kv.put('a', '1'), kv.put('b', '2')]
  await passes(PATIENCE_MS, () => stuck.seen.length === 1, puts)
  await Promise.all(puts)
  expect(up.contents).toEqual({ a: '1', b: '2' })
  expect(stuck.seen.length).toBe(1)
  return { kv, stuck, up }
}

test('a node that accepts and never answers delays one call a little, and the next not at all', async () => {
  const { kv, stuck } = await besideOneThatIsStuck()
  for (let n = 0; n < 4; n++) await kv.put(`k${n}`, 'v')
  expect(stuck.seen.length).toBe(1)
})

test('after a pause only one call tries it again; after a success all calls may', async () => {
  const { kv, stuck } = await besideOneThatIsStuck()
  for (let round = 2; round <= 4; round++) {
    vi.advanceTimersByTime(PAUSE_MS)
    const puts = Array.from({ length: 8 }, (_, n) => kv.put(`k${n}`, 'v'))
    await passes(PATIENCE_MS, () => stuck.seen.length === round, puts)
    await Promise.all(puts)
    expect(stuck.seen.length).toBe(round)
  }
  stuck.fault = () => undefined
  vi.advanceTimersByTime(PAUSE_MS)
  for (let n = 0; n < 9; n++) await kv.get('k')
  expect(stuck.seen.length).toBeGreaterThanOrEqual(8)
})

// The deadlines of applications are often shorter than the time for which a call waits for one node.
test('a node that never answers is passed over also when each call is aborted soon', async () => {
  const [stuck, up] = [await fake(), await fake('n2')]
  const kv = clientOf([stuck, up], LONG)
  const call = (ms: number) => {
    const abort = new AbortController()
    stuck.fault = () => {
      vi.advanceTimersByTime(ms)
      abort.abort()
      return 'hang'
    }
    return kv.get('k', { signal: abort.signal }).catch(() => {})
  }
  for (const each of [1, 2]) {
    for (let n = 0; n < 20; n++) await call(100)
    expect(stuck.seen.length).toBe(3)
    stuck.fault = () => undefined
    vi.advanceTimersByTime(PAUSE_MS)
    for (let n = 0; n < 4; n++) await kv.get('k')
    // A call that is given up at once is not enough: it does not show that the node is silent.
    stuck.seen.length = 0
    for (let n = 0; n < 20; n++) await call(0)
    expect({ each, seen: stuck.seen.length }).toEqual({ each, seen: 10 })
    stuck.fault = () => undefined
    for (let n = 0; n < 2; n++) await kv.get('k')
    stuck.seen.length = 0
  }
})

/** Calls that try the endpoint again, and their ends. After each, the next call may try it too. */
const ends: [string, (kv: Client, stuck: RelayedNode) => Promise<unknown>][] = [
  [
    'is aborted',
    (kv, stuck) => {
      const abort = new AbortController()
      stuck.fault = () => {
        abort.abort()
        return 'hang'
      }
      return failure(kv.get('k', { signal: abort.signal }))
    },
  ],
  [
    'has a callback that throws',
    async (kv, stuck) => {
      stuck.fault = () => undefined
      const onAnswer = () => {
        throw new RangeError('from the application')
      }
      await expect(kv.get('k', { onAnswer })).rejects.toThrow('from the application')
    },
  ],
  [
    'is cut',
    async (kv, stuck) => {
      stuck.fault = () => 'cut'
      await kv.get('k')
    },
  ],
  [
    'is refused in passing',
    async (kv, stuck) => {
      stuck.fault = () => noQuorum
      await kv.get('k')
    },
  ],
  [
    'is of another cluster',
    async (kv, stuck) => {
      stuck.fault = () => undefined
      stuck.clusterId = '78'
      await kv.get('k')
      stuck.clusterId = '77'
    },
  ],
]

test.each(ends)('a call that tries it and %s lets the next call try it', async (_, end) => {
  const { kv, stuck } = await besideOneThatIsStuck()
  for (let round = 0; round < 2; round++) {
    vi.advanceTimersByTime(PAUSE_MS)
    const before = stuck.seen.length
    // One of the two calls begins at that node.
    await end(kv, stuck).catch(() => {})
    if (stuck.seen.length === before) await end(kv, stuck)
    expect(stuck.seen.length).toBe(before + 1)
  }
  stuck.fault = () => undefined
  vi.advanceTimersByTime(PAUSE_MS)
  const before = stuck.seen.length
  for (let n = 0; n < 4; n++) await kv.get('k')
  expect(stuck.seen.length).toBeGreaterThan(before)
})
