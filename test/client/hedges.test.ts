// How often a client asks a second node because the first is silent.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import { Hedges } from '../../src/client/hedges.ts'
import { clientOf, failure, fake, freezeTime } from './with-fakes.ts'

const turns = async () => {
  for (let turn = 0; turn < 10; turn++) await nextTurn()
}

/** How often that many calls may do it at once. */
function takeAll(hedges: Hedges, calls = Number.POSITIVE_INFINITY): number {
  let taken = 0
  while (taken < 10_000 && hedges.tryAcquire(calls)) taken += 1
  return taken
}

test.each([
  [1, 32],
  [32, 32],
  [256, 256],
  [Number.POSITIVE_INFINITY, 10_000],
])('of %d calls at a time %d may be asked twice at once', (callsMax, most) => {
  freezeTime()
  const hedges = new Hedges(callsMax)
  vi.advanceTimersByTime(3_600_000)
  for (let n = 0; n < 1_000_000; n++) hedges.callEnded(0)
  expect(takeAll(hedges)).toBe(most)
})

test('then one in twenty, and one each second', () => {
  freezeTime()
  const hedges = new Hedges(256)
  takeAll(hedges)
  for (let round = 0; round < 3; round++) {
    for (let n = 0; n < 100; n++) hedges.callEnded(0)
    expect(takeAll(hedges)).toBeOneOf([4, 5])
    vi.advanceTimersByTime(10_000)
    expect(takeAll(hedges)).toBeOneOf([10, 11])
    expect(takeAll(hedges)).toBe(0)
  }
})

test.each([
  [1, 4],
  [32, 4],
  [33, 5],
  [256, 32],
])('while %d calls are under way, %d copies are; more when those have ended', (calls, most) => {
  const hedges = new Hedges(256)
  for (let round = 0; round < 3; round++) {
    expect(takeAll(hedges, calls)).toBe(most)
    hedges.callEnded(2)
    expect(takeAll(hedges, calls)).toBe(2)
    hedges.callEnded(most)
  }
})

// Over a saturated wire, values that are sent two and three times take two and three times as long, and none would
// arrive in time.
test('when all nodes are slow, few calls are sent twice', async () => {
  freezeTime()
  const nodes = [await fake(), await fake('n2'), await fake('n3')]
  const kv = clientOf(nodes, { callsMax: 40 })
  await kv.put('a', '1')
  for (const node of nodes) node.fault = () => 'hang'
  for (let round = 0; round < 2; round++) {
    const abort = new AbortController()
    const { signal } = abort
    const calls = Array.from({ length: 40 }, (_, n) =>
      failure(n % 2 === 0 ? kv.get('k', { signal }) : kv.put(`${n}`, '1', { signal })),
    )
    const connections = () => nodes.reduce((sum, node) => sum + node.connections, 0)
    for (const requests of [40, 45, 45, 45, 45]) {
      while (connections() < requests) await nextTurn()
      expect(kv[inspect]().requests).toBe(requests)
      // An exchange without a connection does not count as silent, so the client must notice the connection first.
      await turns()
      vi.advanceTimersByTime(500)
      await turns()
    }
    abort.abort()
    await Promise.all(calls)
    while (connections() > 0) await nextTurn()
    expect(kv[inspect]()).toEqual({ calls: 0, turns: 0, requests: 0, questions: 0, probes: 0 })
  }
})

test('when one node hangs, all calls find another one, a few at a time', async () => {
  freezeTime()
  const [stuck, up] = [await fake(), await fake('n2')]
  const kv = clientOf([stuck, up])
  for (let round = 0; round < 2; round++) {
    stuck.fault = () => undefined
    await Promise.all([kv.put('a', '1'), kv.put('b', '1')])
    stuck.fault = () => 'hang'
    const before = stuck.seen.length
    let left = 40
    const calls = Array.from({ length: left }, async (_, n) => {
      await (n % 4 < 2 ? kv.get('k') : kv.put(`${n}`, '1'))
      left -= 1
    })
    while (stuck.seen.length < before + 20) await nextTurn()
    await turns()
    for (let ms = 0; left > 0 && ms < 1_500; ms += 50) {
      vi.advanceTimersByTime(50)
      for (let turn = 0; turn < 20; turn++) await turns()
    }
    expect(left).toBe(0)
    await Promise.all(calls)
    // The pause of the node that was stuck.
    vi.advanceTimersByTime(5_000)
  }
})
