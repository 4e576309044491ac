// How often a client asks a second node because the first keeps silent.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import { Hedges } from '../../src/client/hedges.ts'
import { clientOf, failure, fake, freezeTime } from './with-fakes.ts'

const turns = async () => {
  for (let turn = 0; turn < 10; turn++) await nextTurn()
}

/** How often it may be done at once. */
function takeAll(hedges: Hedges): number {
  let taken = 0
  while (taken < 10_000 && hedges.take()) taken += 1
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
  for (let n = 0; n < 1_000_000; n++) hedges.callEnded()
  expect(takeAll(hedges)).toBe(most)
})

test('then one in twenty, and one each second', () => {
  freezeTime()
  const hedges = new Hedges(256)
  takeAll(hedges)
  for (let round = 0; round < 3; round++) {
    for (let n = 0; n < 100; n++) hedges.callEnded()
    expect(takeAll(hedges)).toBeOneOf([4, 5])
    vi.advanceTimersByTime(10_000)
    expect(takeAll(hedges)).toBeOneOf([10, 11])
    expect(takeAll(hedges)).toBe(0)
  }
})

// Three copies of everything would keep a cluster slow for as long as the load lasts.
test('where all nodes are slow, not all calls are asked three times', async () => {
  freezeTime()
  const nodes = [await fake(), await fake('n2'), await fake('n3')]
  const kv = clientOf(nodes, { callsMax: 40 })
  await kv.put('a', '1')
  for (const node of nodes) node.fault = () => 'hang'
  const calls = Array.from({ length: 40 }, (_, n) => failure(n % 2 === 0 ? kv.get('k') : kv.put(`${n}`, '1')))
  const connections = () => nodes.reduce((sum, node) => sum + node.connections, 0)
  for (const requests of [40, 80, 80, 81, 81, 82, 82, 83]) {
    while (connections() < requests) await nextTurn()
    expect(kv[inspect]().requests).toBe(requests)
    // What has no connection yet is not silent: the client learns of it.
    await turns()
    vi.advanceTimersByTime(500)
    await turns()
  }
  await kv.close()
  await Promise.all(calls)
  await turns()
  expect(kv[inspect]()).toEqual({ calls: 0, turns: 0, requests: 0, questions: 0, probes: 0 })
})
