// Every way in which a call ends gives back what it took: the permit of the client, the credit and the slot of its
// connection, the slot of its session, and its listener. Each way is taken many times on one connection with small
// limits. Then all counters are 0, and the limits can be used up again.

import { getEventListeners } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import type { Client } from '../../src/client/index.ts'
import { CHANGES, held, oneNode, oneNodeWithSession, PUT, served } from './one-node.ts'
import type { Item, Line, RelayedLines } from './relayed-lines.ts'
import { problem, type RelayedNode } from './relayed-node.ts'
import { failure, freezeTime, passing, until } from './with-fakes.ts'

const AT_REST = { calls: 0, permits: 0, requests: 0, probes: 0 }
const ROUNDS = 20
const OPERATIONS_MAX = 3
const BYTES_MAX = 3_000
const CALLS_MAX = 6
const SLOT_BITS = 0xffff

interface Scene {
  readonly node: RelayedNode
  readonly lines: RelayedLines
  readonly kv: Client
}

interface Held {
  readonly item: Item
  readonly line: Line
}

const limited = (lines: RelayedLines): void => {
  lines.welcome = { operations_max: OPERATIONS_MAX, bytes_max: BYTES_MAX }
}

/** A put that takes a third of the credit, in a turn of its own. */
async function putsInFlight(kv: Client, items: readonly Held[]): Promise<Promise<unknown>[]> {
  const puts: Promise<unknown>[] = []
  for (let n = 0; n < OPERATIONS_MAX; n++) {
    puts.push(kv.put(`k${n}`, Buffer.alloc(BYTES_MAX / OPERATIONS_MAX - 2)))
    await until(() => items.length === n + 1)
  }
  return puts
}

/** The node answers again: also what it holds. */
function letGo(lines: RelayedLines, items: readonly Held[]): void {
  lines.onItem = () => false
  for (const { item, line } of items) if (item[1] !== 0) line.send(served(item))
}

/** The limits of the connection can be used up. */
async function expectWhole({ kv, lines }: Scene): Promise<void> {
  expect(kv[inspect]()).toEqual(AT_REST)
  expect(lines.open).toHaveLength(1)
  const items = held(lines)
  const puts = await putsInFlight(kv, items)
  for (const { item } of items) expect(Number(item[0]) & SLOT_BITS).toBeLessThanOrEqual(2 * CALLS_MAX)
  letGo(lines, items)
  await Promise.all(puts)
  expect(kv[inspect]()).toEqual(AT_REST)
}

const tooLarge = problem(413, 'value_too_large', 'too large')

/** Ends of calls that have their own signal. */
const WAYS: Readonly<Record<string, (scene: Scene, abort: AbortController) => Promise<unknown>>> = {
  'are answered': ({ kv }, { signal }) =>
    Promise.all([kv.put('a', '1', { signal }), kv.get('a', { signal }), kv.delete('a', { signal })]),
  'are refused': async ({ kv, node }, { signal }) => {
    node.faults.push(tooLarge, tooLarge)
    await Promise.all([kv.put('a', '1', { signal }), kv.get('a', { signal })].map(failure))
  },
  'have a callback that throws': async ({ kv }, { signal }) => {
    const onAnswer = () => {
      throw new RangeError('from the application')
    }
    await expect(kv.get('a', { signal, onAnswer })).rejects.toThrow('from the application')
  },
  'are aborted after they were sent, and answered late': async ({ kv, lines }, abort) => {
    const items = held(lines)
    const { signal } = abort
    const calls = [kv.put('a', Buffer.alloc(500), { signal }), kv.get('a', { signal })].map(failure)
    await until(() => items.length === 2)
    abort.abort()
    await Promise.all(calls)
    // The get is cancelled.
    await until(() => items.length === 3)
    letGo(lines, items)
  },
  'are aborted while they wait for credit, or for a permit': async ({ kv, lines }, abort) => {
    const items = held(lines)
    const { signal } = abort
    const puts = await putsInFlight(kv, items)
    const calls = Array.from({ length: 2 * CALLS_MAX }, () => failure(kv.put('a', '1', { signal })))
    await nextTurn()
    abort.abort()
    await Promise.all(calls)
    letGo(lines, items)
    await Promise.all(puts)
  },
  'are out of time after they were sent, and answered late': async ({ kv, lines }, { signal }) => {
    const items = held(lines)
    const limits = { signal, timeoutMs: 50 }
    const calls = [kv.put('a', Buffer.alloc(500), limits), kv.get('a', limits)].map(failure)
    await until(() => items.length === 2)
    await passing(100)
    await Promise.all(calls)
    await until(() => items.length === 3)
    letGo(lines, items)
  },
  'have too little time left when their turn comes': async ({ kv, lines }, { signal }) => {
    const items = held(lines)
    const puts = await putsInFlight(kv, items)
    const others = Array.from({ length: CALLS_MAX - OPERATIONS_MAX }, () => kv.put('a', '1', { signal }))
    const late = Array.from({ length: 2 }, () => failure(kv.put('b', '1', { signal, timeoutMs: 150 })))
    await passing(100)
    letGo(lines, items)
    await Promise.all([...puts, ...others])
    for (const error of await Promise.all(late))
      expect(error).toMatchObject({ code: 'timeout', written: 'no' })
  },
  'are out of time while they wait for credit, or for a permit': async ({ kv, lines }, { signal }) => {
    const items = held(lines)
    const puts = await putsInFlight(kv, items)
    const limits = { signal, timeoutMs: 50 }
    const calls = Array.from({ length: 2 * CALLS_MAX }, () => failure(kv.put('a', '1', limits)))
    await passing(100)
    await Promise.all(calls)
    letGo(lines, items)
    await Promise.all(puts)
  },
}

test.each(Object.entries(WAYS))('calls that %s', async (_, end) => {
  freezeTime()
  const scene = await oneNode({ callsMax: CALLS_MAX, timeoutMs: 3_600_000 }, limited)
  for (let round = 0; round < ROUNDS; round++) {
    const abort = new AbortController()
    await end(scene, abort)
    scene.lines.onItem = () => false
    expect([scene.kv[inspect](), getEventListeners(abort.signal, 'abort')]).toEqual([AT_REST, []])
    // Behind the answers to what was given up.
    await scene.kv.get('k')
  }
  await expectWhole(scene)
})

const SLOTS = 2

/** Ends of a batch of two changes, or of what stands in its place. */
const BATCH_WAYS: Readonly<Record<string, (scene: Scene, abort: AbortController) => Promise<unknown>>> = {
  'is written': ({ kv }) => Promise.all([kv.put('a', '1'), kv.put('b', '1')]),
  'is refused, and its changes are made one by one': ({ kv, node }) => {
    node.faults.push(tooLarge)
    return Promise.all([kv.put('a', '1'), kv.put('b', '1')])
  },
  'is refused, and so are its changes': ({ kv, node }) => {
    node.faults.push(tooLarge, tooLarge, tooLarge)
    return Promise.all([kv.put('a', '1'), kv.put('b', '1')].map(failure))
  },
  'is not permitted': ({ kv, node }) => {
    node.faults.push(problem(401, 'unauthenticated', 'log in'))
    return Promise.all([kv.put('a', '1'), kv.put('b', '1')].map(failure))
  },
  'is aborted, and answered late': async ({ kv, lines }, abort) => {
    const items = held(lines)
    const { signal } = abort
    const puts = [kv.put('a', '1', { signal }), kv.put('b', '1', { signal })].map(failure)
    await until(() => items.length === 1)
    abort.abort()
    await Promise.all(puts)
    lines.onItem = () => false
    for (const { item, line } of items)
      line.send([item[0], 1, { code: 'internal', status: 500 }, null, false])
  },
  'is out of time': async ({ kv, lines }) => {
    const items = held(lines)
    const puts = [kv.put('a', '1', { timeoutMs: 50 }), kv.put('b', '1', { timeoutMs: 50 })].map(failure)
    await until(() => items.length === 1)
    await passing(100)
    await Promise.all(puts)
    lines.onItem = () => false
    for (const { item, line } of items)
      line.send([item[0], 1, { code: 'internal', status: 500 }, null, false])
  },
}

test.each(Object.entries(BATCH_WAYS))('a batch that %s', async (_, end) => {
  freezeTime()
  const scene = await oneNodeWithSession(
    { slots: SLOTS, callsMax: CALLS_MAX, timeoutMs: 3_600_000 },
    (lines) => {
      lines.welcome = { changes_max: 1_000 }
    },
  )
  const { kv, lines } = scene
  for (let round = 0; round < ROUNDS; round++) {
    const abort = new AbortController()
    await end(scene, abort)
    lines.onItem = () => false
    expect([kv[inspect](), getEventListeners(abort.signal, 'abort')]).toEqual([AT_REST, []])
    await kv.get('k')
  }
  expect(kv[inspect]()).toEqual(AT_REST)
  // All slots of the session are free, and there are no more.
  const items = held(lines)
  const puts: Promise<unknown>[] = []
  for (let n = 0; n <= SLOTS; n++) {
    puts.push(kv.put(`k${n}`, 'v'))
    await until(() => items.length === n + 1)
  }
  expect(
    items.map(({ item }) => [PUT, CHANGES].includes(Number(item[1])) && (item[5] as unknown[]).length),
  ).toEqual([3, 3, 2])
  letGo(lines, items)
  await Promise.all(puts)
  expect(kv[inspect]()).toEqual(AT_REST)
})
