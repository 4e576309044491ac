// The limit of calls in flight of a client, and the calls that wait for a permit.

import { getEventListeners } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import { AbortedError, type Client, UnavailableError } from '../../src/client/index.ts'
import { problem, type RelayedNode } from './relayed-node.ts'
import { SILENT, scripted } from './scripted-transport.ts'
import { clientOf, failure, fake, freezeTime, noQuorum, refusing, until, unused } from './with-fakes.ts'

const AT_REST = { calls: 0, permits: 0, requests: 0, probes: 0 }

/** The node answers nothing until `goOn` is called. `isAsked` resolves when it has received a request. */
function stuck(node: RelayedNode): { readonly isAsked: Promise<void>; readonly goOn: () => void } {
  const { promise: isAsked, resolve } = Promise.withResolvers<void>()
  node.fault = () => {
    resolve()
    return 'hang'
  }
  return { isAsked, goOn: () => (node.fault = () => undefined) }
}

/** A client with one node and `callsMax` 1. Its only call has a timeout of one minute and gets no answer. */
async function withOneStuck(timeoutMs = 60_000) {
  freezeTime()
  const node = await fake()
  const kv = clientOf([node], { callsMax: 1 })
  await kv.put('first', '1')
  const { isAsked, goOn } = stuck(node)
  const end = failure(kv.get('stuck', { timeoutMs }))
  await isAsked
  goOn()
  const length = node.seen.length
  return { node, kv, end, later: () => node.seen.slice(length).map(({ target }) => target.split('?')[0]) }
}

const outcomeOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'done',
    (error: { code: string }) => error.code,
  )

describe('no more calls than', () => {
  test.each([1, 3, 20])('%d are under way, and all are made in their order', async (callsMax) => {
    const node = await fake()
    const kv = clientOf([node], { callsMax })
    let most = 0
    node.fault = () => {
      most = Math.max(most, kv[inspect]().requests)
      return { afterMs: 1 }
    }
    for (let round = 0; round < 2; round++) {
      const ended: number[] = []
      const keys = Array.from({ length: 12 }, (_, n) => n)
      await Promise.all(keys.map((n) => kv.put(`${n}`, `${round}`).then(() => ended.push(n))))
      expect(most).toBe(Math.min(callsMax, keys.length))
      if (callsMax === 1) expect(ended).toEqual(keys)
      expect(kv[inspect]()).toEqual(AT_REST)
    }
    expect(node.rows.size).toBe(12)
  })

  test('256 by default', async () => {
    freezeTime()
    for (const [callsMax, most] of [
      [undefined, 256],
      [Number.POSITIVE_INFINITY, 300],
    ] as const) {
      const { kv } = scripted(1, () => SILENT, { callsMax })
      const gets = Array.from({ length: 300 }, () => failure(kv.get('k')))
      await nextTurn()
      expect(kv[inspect]()).toMatchObject({ calls: 300, permits: 300, requests: most })
      await kv.close()
      for (const error of await Promise.all(gets)) expect(error).toMatchObject({ written: 'no' })
      await expect.poll(() => kv[inspect]()).toEqual(AT_REST)
    }
  })
})

describe('one that waits', () => {
  test('gets an error when its time is over: nothing of it has left, and the others go on', async () => {
    const { node, kv, end, later } = await withOneStuck()
    for (let round = 0; round < 2; round++) {
      const errors = [kv.put('a', '1', { timeoutMs: 1_000 }), kv.get('b', { timeoutMs: 1_000 })].map(failure)
      vi.advanceTimersByTime(1_000)
      for (const error of await Promise.all(errors)) {
        expect(error).toBeInstanceOf(UnavailableError)
        expect(error).toMatchObject({
          ...{ code: 'timeout', written: 'no' },
          message:
            'not sent: it could not begin in time (1 s), since 1 calls of this client (callsMax) were in flight',
        })
      }
      expect(kv[inspect]()).toMatchObject({ calls: 1, permits: 1, requests: 1 })
    }
    const c = kv.put('c', '1', { timeoutMs: 120_000 })
    vi.advanceTimersByTime(60_000)
    expect(await end).toMatchObject({ code: 'timeout' })
    await c
    expect(later()).toEqual(['/v1/kv/c'])
    expect(kv[inspect]()).toEqual(AT_REST)
    expect(node.contents).toEqual({ first: '1', c: '1' })
  })

  test('does not fail as unreachable: it has tried no endpoint, and counts against none', async () => {
    freezeTime()
    const kv = clientOf([await refusing()], { callsMax: 1, timeoutMs: 3_600_000 })
    const first = failure(kv.get('a', { timeoutMs: 60_000 }))
    const second = failure(kv.get('b', { timeoutMs: 1_000 }))
    vi.advanceTimersByTime(1_000)
    expect(await second).toMatchObject({ code: 'timeout', written: 'no' })
    await kv.close()
    await first
  })

  test('has as long as any other call to reach a node, from its turn on', async () => {
    freezeTime()
    const url = await unused()
    const kv = clientOf([url], { callsMax: 1, timeoutMs: 60_000, unreachableAfterMs: 500 })
    let isOver = false
    const first = failure(kv.get('a')).finally(() => (isOver = true))
    const second = kv.put('b', '1').finally(() => (isOver = true))
    const pass = async () => {
      for (let turn = 0; turn < 20; turn++) await nextTurn()
      if (!isOver) vi.advanceTimersByTime(10)
    }
    while (!isOver) await pass()
    expect(await first).toMatchObject({ code: 'unreachable' })
    isOver = false
    for (let round = 0; round < 10; round++) await pass()
    expect(isOver).toBe(false)
    const node = await fake('n1', Number(new URL(url).port))
    while (!isOver) await pass()
    await second
    expect(node.contents).toEqual({ b: '1' })
  })

  test.each([
    ['get', 20, 15, true],
    ['get', 20, 16, false],
    ['put', 400, 300, true],
    ['put', 400, 301, false],
    // Half of a short timeout.
    ['get', 8, 4, true],
    ['get', 8, 5, false],
    ['put', 40, 20, true],
    ['put', 40, 21, false],
    // The call before took all its time, so the average is an eighth of that. A quarter more must be left.
    ['get', 69_375, 60_000, true],
    ['get', 69_374, 60_000, false],
  ] as const)('a %s that has %d ms and its turn after %d: begins %s', async (what, timeoutMs, ms, begins) => {
    const { kv, end, later } = await withOneStuck(ms)
    const call = () => (what === 'get' ? kv.get('a', { timeoutMs }) : kv.put('a', '1', { timeoutMs }))
    const ended = begins ? call().then(() => undefined) : failure(call())
    const next = kv.get('b', { timeoutMs: 120_000 })
    vi.advanceTimersByTime(ms)
    await end
    const error = await ended
    if (!begins) expect(error).toMatchObject({ code: 'timeout', written: 'no' })
    await next
    expect(later()).toEqual([...(begins ? ['/v1/kv/a'] : []), '/v1/kv/b'])
    expect(kv[inspect]()).toEqual(AT_REST)
  })

  test.each<[string, (kv: Client) => Promise<unknown>]>([
    ['no call', () => Promise.resolve()],
    ['a get', (kv) => kv.get('k')],
    ['a get that was aborted', (kv) => failure(kv.get('k', { signal: AbortSignal.abort() }))],
  ])(
    'begins however long the first calls needed, which made the connections, after %s',
    async (_what, before) => {
      freezeTime()
      const node = await fake()
      node.fault = ({ method }) => (method === 'PUT' ? { afterMs: 500 } : undefined)
      const kv = clientOf([node], { callsMax: 20, timeoutMs: 1_000 })
      await before(kv)
      const puts = Array.from({ length: 60 }, (_, n) => kv.put(`${n}`, '1'))
      const sent = () => node.seen.filter(({ method }) => method === 'PUT').length
      await until(() => sent() === 20)
      node.fault = () => undefined
      vi.advanceTimersByTime(500)
      await Promise.all(puts)
      expect(sent()).toBe(60)
    },
  )

  test('whose turn comes too late says when it came, and with how much time calls begin now', async () => {
    const { kv, end } = await withOneStuck(60_000)
    const late = failure(kv.get('a', { timeoutMs: 69_000 }))
    vi.advanceTimersByTime(60_000)
    await end
    expect((await late).message).toBe(
      'not sent: it could begin after 60 s, since 1 calls of this client (callsMax) were in flight. 9 s were left, and now a call begins only with 9.375 s',
    )
  })

  test('begins with a quarter of its time gone, however long calls need', async () => {
    freezeTime()
    const node = await fake()
    const kv = clientOf([node], { callsMax: 1 })
    const beginSlow = async (ms: number) => {
      const { isAsked, goOn } = stuck(node)
      const end = failure(kv.get('stuck', { timeoutMs: ms }))
      await isAsked
      goOn()
      return { end }
    }
    for (let round = 0; round < 30; round++) {
      const { end } = await beginSlow(60_000)
      vi.advanceTimersByTime(60_000)
      await end
    }
    for (const [ms, begins] of [
      [1_000, true],
      [1_001, false],
    ] as const) {
      const { end } = await beginSlow(ms)
      const next = kv.get('a', { timeoutMs: 4_000 }).then(
        () => true,
        () => false,
      )
      vi.advanceTimersByTime(ms)
      await end
      expect(await next).toBe(begins)
    }
  })

  test('ends when its caller gives it up or the client is closed, and is not sent', async () => {
    const { kv, end, later } = await withOneStuck()
    const abort = new AbortController()
    const aborted = failure(kv.put('a', '1', { signal: abort.signal }))
    const closed = failure(kv.put('b', '1', { signal: abort.signal }))
    const before = failure(kv.put('c', '1', { signal: AbortSignal.abort('never') }))
    expect(await before).toMatchObject({ code: 'aborted', written: 'no', cause: 'never' })
    expect(kv[inspect]()).toMatchObject({ calls: 3, permits: 3 })
    abort.abort('enough')
    for (const error of await Promise.all([aborted, closed])) {
      expect(error).toBeInstanceOf(AbortedError)
      expect(error).toMatchObject({ code: 'aborted', written: 'no', cause: 'enough' })
    }
    expect(getEventListeners(abort.signal, 'abort')).toEqual([])
    const last = failure(kv.put('d', '1'))
    await kv.close()
    expect(await last).toMatchObject({ name: 'AbortError', code: 'closed', written: 'no' })
    expect(await end).toMatchObject({ code: 'closed' })
    await expect.poll(() => kv[inspect]()).toEqual(AT_REST)
    expect(later()).toEqual([])
  })
})

test('those that have left are passed over when turns are given', async () => {
  const { node, kv } = await withOneStuck()
  const aborts = Array.from({ length: 30 }, () => new AbortController())
  const calls = aborts.map(({ signal }, n) => outcomeOf(kv.put(`k${n}`, '1', { signal, timeoutMs: 90_000 })))
  for (const [n, abort] of aborts.entries()) if (n % 3 > 0) abort.abort()
  expect(kv[inspect]()).toMatchObject({ permits: 11 })
  await vi.advanceTimersByTimeAsync(60_000)
  const wanted = aborts.map((_, n) => (n % 3 > 0 ? 'aborted' : 'done'))
  expect(await Promise.all(calls)).toEqual(wanted)
  expect(node.rows.size).toBe(11)
  expect(kv[inspect]()).toEqual(AT_REST)
})

// A call continues some microtasks after it got its turn.
test.each([0, 1, 2, 3, 4])(
  'the client is closed %d microtasks after one has ended: the next sends nothing',
  async (ticks) => {
    const node = await fake()
    await node.openPort()
    const kv = clientOf([node], { callsMax: 1 })
    const first = kv.get('a').then(async () => {
      for (let tick = 0; tick < ticks; tick++) await undefined
      await kv.close()
    })
    const next = failure(kv.put('b', '1', { timeoutMs: 20_000 }))
    await first
    expect(await next).toMatchObject({ code: 'closed', written: 'no' })
    await expect.poll(() => kv[inspect]()).toEqual(AT_REST)
    await expect.poll(() => node.connections).toBe(0)
    expect(node.seen.map(({ target }) => target)).toEqual(['/v1/kv/a'])
  },
)

describe('a turn is given back by a call that', () => {
  const fail = () => {
    throw new RangeError('from the application')
  }
  const ends: [string, (node: RelayedNode, kv: Client) => Promise<unknown>][] = [
    [
      'is refused',
      (node, kv) => {
        node.faults.push(problem(413, 'value_too_large', 'too large'))
        return kv.put('k', 'v')
      },
    ],
    ['has a condition that fails', (_, kv) => kv.put('k', 'v', { ifRevision: 99 })],
    [
      'is cut',
      (node, kv) => {
        node.faults.push('cut')
        return kv.transferLeader()
      },
    ],
    [
      'has no quorum',
      (node, kv) => {
        node.fault = () => noQuorum
        return kv.put('k', 'v', { timeoutMs: 50 })
      },
    ],
    ['has a callback that throws', (_, kv) => kv.get('k', { onAnswer: fail })],
    ['is a mistake', (_, kv) => kv.put('', 'v')],
    ['was aborted before', (_, kv) => kv.get('k', { signal: AbortSignal.abort() })],
  ]

  test.each(ends)('%s', async (_, end) => {
    const node = await fake()
    for (const isNew of [false, true]) {
      const kv = clientOf([node], { callsMax: 1 })
      if (!isNew) await kv.put('k', 'v')
      for (let round = 0; round < 2; round++) {
        const ended = end(node, kv).catch(() => {})
        const next = kv.count()
        await ended
        node.fault = () => undefined
        await next
        expect(kv[inspect]()).toEqual(AT_REST)
      }
    }
  })
})

test.each([false, true])('a list has no turn while its reader is slow: snapshot %s', async (snapshot) => {
  const node = await fake()
  for (const key of ['a', 'b', 'c']) node.set(key, '1')
  node.limits = { pageBytesMax: 1 }
  const kv = clientOf([node], { callsMax: 1 })
  const keys: string[] = []
  for await (const { key } of kv.list({ snapshot })) {
    keys.push(key)
    await kv.put(key, '2')
  }
  expect(keys).toEqual(['a', 'b', 'c'])
  expect(kv[inspect]()).toEqual(AT_REST)
  expect(node.contents).toEqual({ a: '2', b: '2', c: '2' })
})
