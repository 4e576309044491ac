// One call, in virtual time: which endpoints get it and when, what ends it, and what its error says.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import type { Client } from '../../src/client/index.ts'
import { machineClocks } from '../../src/client/suspend-aware-clock.ts'
import type { HttpOutcome } from '../../src/client/transport/http-transport.ts'
import {
  answered,
  CUT,
  DONE,
  errorOf,
  type Fate,
  inVirtualTime,
  notSent,
  OFF,
  RECORD,
  refusal,
  type ScriptedTransport,
  SILENT,
  scripted,
  streaming,
} from './scripted-transport.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const NO_LEADER = refusal(503, 'no_leader')
const UNKNOWN = refusal(504, 'outcome_unknown')
const member = { name: 'n4', replicaId: '4', peer: '127.0.0.1:1', url: 'http://127.0.0.1:1' }
const CALLS = {
  read: (kv: Client, options = {}) => kv.get('k', options),
  keyed: (kv: Client, options = {}) => kv.put('k', 'v', options),
  bare: (kv: Client, options = {}) => kv.addMember(member, options),
}
type Kind = keyof typeof CALLS
const KINDS = ['read', 'keyed', 'bare'] as const
const good = (kind: Kind) => (kind === 'read' ? RECORD : DONE)
const order = ({ sent }: ScriptedTransport) => sent.map(({ at }) => at)
const atRest = { calls: 0, permits: 0, requests: 0, probes: 0 }

describe('a node that stays silent', () => {
  test.each([
    [300, 250],
    [2_500, 250],
    [4_000, 400],
    [10_000, 1_000],
    [60_000, 1_000],
  ])('with %d ms for the call, is left after %d ms', async (timeoutMs, limitMs) => {
    const { kv, transport } = scripted(2, (at) => (at === 0 ? SILENT : RECORD), { timeoutMs })
    await inVirtualTime(kv.get('k'))
    expect(transport.sent.map(({ at, ms }) => [at, ms])).toEqual([
      [0, 0],
      [1, limitMs],
    ])
    expect(kv[inspect]()).toEqual(atRest)
  })

  test.each([1_900, 3_900])('is left once, so a cluster that needs %d ms still answers', async (afterMs) => {
    const { kv, transport } = scripted(3, () => ({ outcome: DONE, afterMs }))
    await inVirtualTime(kv.put('k', 'v'))
    expect(transport.sent.slice(0, 3).map(({ at, ms }) => [at, ms])).toEqual([
      [0, 0],
      [1, 500],
      [2, 1_000],
    ])
    // Side tries are few, and never at the endpoint that is waited for.
    expect(transport.sent.length).toBeLessThanOrEqual(5)
    expect(order(transport).filter((at) => at === 2).length).toBe(1)
    await vi.advanceTimersByTimeAsync(50)
    expect(kv[inspect]()).toEqual(atRest)
  })

  describe.each(['read', 'keyed'] as const)('and hangs, while a %s can be served elsewhere', (kind) => {
    test('is left by a call that must connect sooner than it may be silent', async () => {
      const { kv, transport } = scripted(3, (at) => (at === 0 ? SILENT : good(kind)))
      const connecting = scripted(3, (at) => (at === 0 ? SILENT : good(kind)), { unreachableAfterMs: 500 })
      await inVirtualTime<unknown>(CALLS[kind](kv))
      await inVirtualTime<unknown>(CALLS[kind](connecting.kv))
      expect([order(transport), order(connecting.transport)]).toEqual([
        [0, 1],
        [0, 1],
      ])
    })

    test('is not the only one that the call waits for: the others have an answer later', async () => {
      // Without a leader the first two are silent until 2 s.
      const started = performance.now()
      const { kv } = scripted(3, (at) =>
        at === 2 || performance.now() - started < 1_400 ? SILENT : good(kind),
      )
      await inVirtualTime<unknown>(CALLS[kind](kv))
      await vi.advanceTimersByTimeAsync(50)
      expect(kv[inspect]()).toEqual(atRest)
    })

    test('is not waited for to the end if the call began to wait late', async () => {
      const busy = refusal(503, 'no_leader', { retry_after_ms: 3_000 })
      const { kv, transport } = scripted(2, (at, nth) => {
        if (at === 0 && nth > 1) return SILENT
        return nth < 2 ? busy : good(kind)
      })
      await inVirtualTime<unknown>(CALLS[kind](kv))
      expect(order(transport)).toEqual([0, 1, 0, 1])
      await vi.advanceTimersByTimeAsync(50)
      expect(kv[inspect]()).toEqual(atRest)
    })

    test.each(['aborted', 'closed'])('is given up with the others when the call is %s', async (code) => {
      const { kv } = scripted(3, () => SILENT)
      const abort = new AbortController()
      const call = CALLS[kind](kv, { signal: abort.signal })
      const error = errorOf(call)
      await vi.advanceTimersByTimeAsync(2_000)
      if (code === 'aborted') abort.abort()
      else await kv.close()
      expect(await error).toMatchObject({ code, written: kind === 'read' ? 'no' : 'unknown' })
      expect(kv[inspect]()).toEqual(atRest)
    })

    test('has the whole time if all hang', async () => {
      const { kv, transport } = scripted(3, () => SILENT)
      const begun = performance.now()
      const code = kind === 'read' ? 'timeout' : 'outcome_unknown'
      expect(await errorOf(CALLS[kind](kv))).toMatchObject({ code })
      expect(performance.now() - begun).toBeGreaterThanOrEqual(4_900)
      expect(transport.sent.length).toBeLessThanOrEqual(6)
      await vi.advanceTimersByTimeAsync(50)
      expect(kv[inspect]()).toEqual(atRest)
    })

    test('is tried again when its connection was cut, while the other one is silent', async () => {
      let isCut = false
      const { kv } = scripted(2, (at) => {
        if (at === 0) return SILENT
        if (isCut) return good(kind)
        isCut = true
        return { outcome: CUT, afterMs: 1_000 }
      })
      await inVirtualTime<unknown>(CALLS[kind](kv))
      expect(kv[inspect]()).toEqual(atRest)
    })

    test('is waited for no longer when its connection is cut: then the others are', async () => {
      const started = performance.now()
      const { kv } = scripted(3, (at) => {
        if (at === 2) return { outcome: CUT, afterMs: 1_000 }
        return performance.now() - started < 2_400 ? SILENT : good(kind)
      })
      await inVirtualTime<unknown>(CALLS[kind](kv))
      expect(kv[inspect]()).toEqual(atRest)
    })
  })

  test('and then opens a watch, as another one has done just before: that one is closed', async () => {
    const opened = [streaming(), streaming()]
    let answers = 0
    const started = performance.now()
    const { kv } = scripted(
      3,
      (_, nth) => {
        if (nth < 2) return SILENT
        // The third one, which is the last, and the first of those that are tried again beside it.
        const afterMs = started + 2_000 - answers - performance.now()
        const answer = opened[answers++]
        return answer === undefined ? SILENT : { outcome: answer.result, afterMs }
      },
      { timeoutMs: 4_000 },
    )
    const watch = kv.watch({ key: 'k' })
    watch.ready.catch(() => {})
    await inVirtualTime(vi.advanceTimersByTimeAsync(2_500))
    expect(answers).toBeGreaterThanOrEqual(2)
    expect(opened.map(({ stream }) => stream.destroyed)).toEqual([false, true])
    await watch.close()
    await kv.close()
    expect(opened.every(({ stream }) => stream.destroyed)).toBe(true)
  })

  test('is left while there is time for several others', async () => {
    const { kv, transport } = scripted(9, () => ({ outcome: DONE, afterMs: 1_999 }))
    await inVirtualTime(kv.put('k', 'v'))
    expect(transport.sent.map(({ ms }) => ms)).toEqual([0, 500, 1_000, 1_500, 2_000])
  })

  test('is waited for when it is tried again, since the other one is down', async () => {
    const slow: Fate = { outcome: DONE, afterMs: 2_500 }
    const { kv, transport } = scripted(2, (at) => (at === 0 ? slow : notSent()))
    await inVirtualTime(kv.put('k', 'v'))
    expect(order(transport).filter((at) => at === 0).length).toBe(2)
  })

  test('is waited for to the end if there is no other', async () => {
    const { kv, transport } = scripted(1, () => ({ outcome: RECORD, afterMs: 4_900 }))
    await inVirtualTime(kv.get('k'))
    expect(transport.sent.length).toBe(1)
  })

  test.each([0, 1, 2])(
    'is waited for while the others ask for a longer pause: endpoint %d',
    async (slowAt) => {
      const busy = refusal(429, 'overloaded', { retry_after_ms: 3_600_000 })
      const slow: Fate = { outcome: DONE, afterMs: 3_000 }
      const { kv } = scripted(3, (at) => (at === slowAt ? slow : busy))
      await inVirtualTime(kv.put('k', 'v'))
      expect(kv[inspect]()).toEqual(atRest)
    },
  )

  test('gets a large value for as long as it needs at 3 Mbit/s', async () => {
    const { kv, transport } = scripted(2, (at) => (at === 0 ? SILENT : DONE))
    await inVirtualTime(kv.put('k', Buffer.alloc(600_000)))
    expect(transport.sent.map(({ ms }) => Math.floor(ms))).toEqual([0, 1_500])
  })

  test('keeps a change without a write id', async () => {
    const { kv, transport } = scripted(2, (at) => (at === 0 ? SILENT : DONE))
    expect(await errorOf(kv.addMember(member))).toMatchObject({ code: 'outcome_unknown', written: 'unknown' })
    expect(transport.sent.map(({ ms }) => ms)).toEqual([0])
  })

  test('loses few calls when all nodes are slow', async () => {
    const { kv, transport } = scripted(3, () => ({ outcome: RECORD, afterMs: 2_000 }))
    await inVirtualTime(Promise.all(Array.from({ length: 64 }, () => kv.get('k'))))
    // Four at a time while no node answers.
    expect(transport.sent.length).toBeLessThanOrEqual(64 + 2 * 4)
  })

  test('loses all calls that the others can serve, a few at a time', async () => {
    const { kv, transport } = scripted(3, (at) => (at === 0 ? SILENT : DONE))
    await inVirtualTime(Promise.all(Array.from({ length: 192 }, () => kv.put('k', 'v'))))
    // 64 began there, and one in eight of all may leave at a time.
    expect(transport.sent.length).toBe(192 + 64)
    expect(Math.max(...transport.sent.map(({ ms }) => ms))).toBeLessThanOrEqual(1_000)
  })
})

test('a try without an answer ends the idle connections that were silent since: they may be dead too', async () => {
  const { kv, transport } = scripted(1, (_, nth) => (nth === 0 ? SILENT : RECORD))
  const ended: (readonly [string, number])[] = []
  Object.assign(transport, {
    endIdle: ({ url }: { readonly url: string }, since: number) => ended.push([url, since]),
  })
  vi.advanceTimersByTime(10)
  const sentAt = performance.now()
  await errorOf(kv.get('k', { timeoutMs: 1_000 }))
  await inVirtualTime(kv.get('k'))
  expect(ended).toEqual([['http://127.0.0.1:1', sentAt]])
})

describe('many first writes to slow nodes: none has an unknown outcome', () => {
  const burst = (kv: Client) => Promise.all(Array.from({ length: 300 }, (_, n) => kv.put(`${n}`, 'v')))

  test.each([1_000, 2_500, 3_900])('all nodes need %d ms', async (afterMs) => {
    const { kv, transport } = scripted(3, () => ({ outcome: DONE, afterMs }), { callsMax: 300 })
    await inVirtualTime(burst(kv))
    expect(transport.sent.length).toBeLessThanOrEqual(300 + 2 * 32)
    expect(kv[inspect]()).toEqual(atRest)
  })

  test('one node needs longer than the timeout', async () => {
    const slow: Fate = { outcome: DONE, afterMs: 6_000 }
    const { kv } = scripted(3, (at) => (at === 1 ? slow : { outcome: DONE, afterMs: 100 }))
    await inVirtualTime(burst(kv))
    expect(kv[inspect]()).toEqual(atRest)
  })
})

describe.each(KINDS)('a %s call', (kind) => {
  const call = CALLS[kind]

  test('goes on to the next endpoint while certainly nothing was done', async () => {
    const fates: Fate[] = [notSent(), NO_LEADER, good(kind)]
    const { kv, transport } = scripted(3, (_, nth) => fates[nth] ?? SILENT)
    await inVirtualTime<unknown>(call(kv))
    expect(order(transport)).toEqual([0, 1, 2])
    expect(kv[inspect]()).toEqual(atRest)
  })

  test('leaves an endpoint that does not accept the connection', async () => {
    const { kv, transport } = scripted(2, (at) => (at === 0 ? OFF : good(kind)))
    await inVirtualTime<unknown>(call(kv))
    expect(order(transport)).toEqual([0, 1])
  })

  test('tries all endpoints before it is unreachable', async () => {
    const { kv, transport } = scripted(5, () => OFF, { unreachableAfterMs: 300 })
    const error = await errorOf(call(kv))
    expect(error).toMatchObject({ code: 'unreachable', written: 'no' })
    expect(new Set(order(transport)).size).toBe(5)
    expect(performance.now()).toBeLessThan(330)
  })

  test('that was aborted before it began sends nothing', async () => {
    const { kv, transport } = scripted(1, () => good(kind))
    expect(await errorOf(call(kv, { signal: AbortSignal.abort() }))).toMatchObject({
      code: 'aborted',
      written: 'no',
    })
    expect(transport.sent).toEqual([])
  })

  test.each(['aborted', 'closed'])('that is %s while it is in flight', async (code) => {
    const { kv, transport } = scripted(1, () => SILENT)
    const abort = new AbortController()
    const error = errorOf(call(kv, { signal: abort.signal }))
    while (transport.sent.length === 0) await undefined
    if (code === 'aborted') abort.abort()
    else await kv.close()
    expect(await error).toMatchObject({ code, written: kind === 'read' ? 'no' : 'unknown' })
    expect(kv[inspect]()).toEqual(atRest)
  })

  test('is refused for good, and not tried again', async () => {
    const { kv, transport } = scripted(2, () => refusal(400, 'bad_request'))
    expect(await errorOf(call(kv))).toMatchObject({
      code: 'bad_request',
      written: 'no',
      status: 400,
      node: 'n1',
    })
    expect(transport.sent.length).toBe(1)
  })

  test('leaves out a node of another cluster', async () => {
    const other = answered(421, { code: 'wrong_cluster' }, '78')
    const { kv, transport } = scripted(2, (at, nth) => (nth === 0 ? RECORD : at === 1 ? other : good(kind)))
    await inVirtualTime(kv.get('k'))
    await inVirtualTime<unknown>(call(kv))
    expect(order(transport)).toEqual([0, 1, 0])
  })
})

describe('a write that may have been applied', () => {
  test.each<[string, Fate]>([
    ['its connection was cut', CUT],
    ['its node was silent', SILENT],
    ['its node does not know the outcome', UNKNOWN],
    ['its node failed', refusal(500, 'internal')],
    ['a proxy answered', answered(502, 'bad gateway', '')],
  ])('is sent again under its own id when %s', async (_, fate) => {
    const { kv, transport } = scripted(2, (_at, nth) => (nth === 0 ? fate : DONE))
    await inVirtualTime(kv.put('k', 'v'))
    const [first, second] = transport.sent
    expect(transport.sent.length).toBe(2)
    expect(second?.writeId).toEqual(first?.writeId)
  })

  test.each<[string, Fate]>([
    ['its connection was cut', CUT],
    ['its node does not know the outcome', UNKNOWN],
    ['its node failed', refusal(500, 'internal')],
    ['a proxy answered', answered(502, 'bad gateway', '')],
  ])('is never sent again without an id: %s', async (_, fate) => {
    const { kv, transport } = scripted(2, (_at, nth) => (nth === 0 ? fate : DONE))
    expect((await errorOf(kv.addMember(member))).written).toBe('unknown')
    expect(transport.sent.length).toBe(1)
  })

  test.each<[string, Fate]>([
    ['then refused', refusal(400, 'bad_request')],
    ['then without a leader', NO_LEADER],
    ['then unreachable', notSent()],
    ['then too old', refusal(409, 'idempotency_expired')],
  ])('stays unknown: %s', async (_, fate) => {
    const { kv } = scripted(2, (_at, nth) => (nth === 0 ? CUT : fate))
    expect((await errorOf(kv.put('k', 'v'))).written).toBe('unknown')
  })

  test('has the outcome of its condition, whichever try carried it', async () => {
    const failed = refusal(412, 'precondition_failed', { current: null })
    const { kv } = scripted(2, (_at, nth) => (nth === 0 ? CUT : failed))
    const error = await errorOf(kv.put('k', 'v', { ifRevision: 1 }))
    expect(error).toMatchObject({ code: 'precondition_failed', written: 'no', current: null })
  })
})

describe('the write id', () => {
  test('of the first write has no revision, of later ones it has', async () => {
    const { kv, transport } = scripted(1, () => DONE)
    await inVirtualTime(kv.put('k', 'v'))
    await inVirtualTime(kv.put('k', 'v'))
    expect(transport.sent.map(({ key }) => key?.includes(';since='))).toEqual([false, true])
    expect(transport.sent[1]?.key).toMatch(/;since=9$/)
  })

  describe('without a revision', () => {
    /** Each try takes 3 s, and none has an outcome. */
    const slowly = (outcome: HttpOutcome): Fate => ({ outcome, afterMs: 3_000 })

    test('is sent again for 10 s, then the outcome is unknown', async () => {
      const { kv, transport } = scripted(1, () => slowly(CUT), { timeoutMs: 60_000 })
      const error = await errorOf(kv.put('k', 'v'))
      expect(error).toMatchObject({ code: 'outcome_unknown', written: 'unknown' })
      expect(error.message).toContain('is sent again only for 10 s (')
      expect(new Set(transport.sent.map(({ key }) => key)).size).toBe(1)
      expect(transport.sent.at(-1)?.ms).toBeGreaterThan(9_000)
      expect(transport.sent.at(-1)?.ms).toBeLessThan(10_000)
    })

    test('is not sent again after the machine has slept', async () => {
      const asleep = vi.spyOn(machineClocks, 'uptimeMs').mockReturnValue(0)
      const { kv, transport } = scripted(1, () => {
        asleep.mockReturnValue(11_000)
        return CUT
      })
      expect(await errorOf(kv.put('k', 'v'))).toMatchObject({ written: 'unknown' })
      expect(transport.sent.length).toBe(1)
    })

    test('is sent for as long as the call has time while certainly nothing was done', async () => {
      const { kv } = scripted(1, (_at, nth) => (nth < 9 ? slowly(notSent()) : nth < 10 ? CUT : DONE), {
        timeoutMs: 60_000,
      })
      await inVirtualTime(kv.put('k', 'v'))
    })

    test('does not limit a write that knows a revision', async () => {
      const { kv, transport } = scripted(1, (_at, nth) => (nth === 0 || nth > 8 ? DONE : slowly(CUT)), {
        timeoutMs: 60_000,
      })
      await inVirtualTime(kv.put('k', 'v'))
      await inVirtualTime(kv.put('k', 'v'))
      expect(transport.sent.length).toBe(10)
    })
  })

  test('that is too old is replaced, as often as necessary, if nothing was done', async () => {
    const expired = refusal(409, 'idempotency_expired')
    const { kv, transport } = scripted(3, (_at, nth) => (nth < 2 ? expired : DONE))
    await inVirtualTime(kv.put('k', 'v'))
    expect(new Set(transport.sent.map(({ key }) => key)).size).toBe(3)
  })

  test('that is too old is not replaced if an earlier try may have been applied', async () => {
    const fates = [CUT, refusal(409, 'idempotency_expired')]
    const { kv, transport } = scripted(2, (_at, nth) => fates[nth] ?? DONE)
    expect((await errorOf(kv.put('k', 'v'))).written).toBe('unknown')
    expect(new Set(transport.sent.map(({ key }) => key)).size).toBe(1)
  })
})

test('the first write costs one request', async () => {
  const { kv, transport } = scripted(3, () => DONE)
  await inVirtualTime(kv.put('k', 'v'))
  expect(transport.sent.map(({ method }) => method)).toEqual(['PUT'])
})

test('a Retry-After is respected', async () => {
  const later = refusal(503, 'no_leader', { retry_after_ms: 700 })
  const { kv, transport } = scripted(1, (_at, nth) => (nth === 0 ? later : RECORD))
  await inVirtualTime(kv.get('k'))
  expect(transport.sent[1]?.ms).toBeGreaterThanOrEqual(700)
})

test('a node that answers `internal` is tried three times', async () => {
  const { kv, transport } = scripted(1, () => refusal(500, 'internal'))
  expect(await errorOf(kv.get('k'))).toMatchObject({ code: 'internal', written: 'no' })
  expect(transport.sent.length).toBe(3)
})

test('a refused write is not tried again without time for its answer', async () => {
  const { kv, transport } = scripted(1, () => NO_LEADER, { timeoutMs: 1_000 })
  expect(await errorOf(kv.put('k', 'v'))).toMatchObject({ code: 'no_leader', written: 'no' })
  expect(Math.max(...transport.sent.map(({ ms }) => ms))).toBeLessThanOrEqual(900)
})

test('a program that is no node is left out, and a write to it is unknown', async () => {
  const { kv } = scripted(1, () => answered(200, {}, ''))
  expect(await errorOf(kv.put('k', 'v'))).toMatchObject({ code: 'unexpected_answer', written: 'unknown' })
  expect(await errorOf(kv.get('k'))).toMatchObject({ code: 'unexpected_answer', written: 'no' })
})

test('what a callback throws is what the call throws', async () => {
  const { kv } = scripted(1, () => RECORD)
  const thrown = new Error('mine')
  const onAnswer = () => {
    throw thrown
  }
  await expect(inVirtualTime(kv.get('k', { onAnswer }))).rejects.toBe(thrown)
  expect(kv[inspect]()).toEqual(atRest)
})

describe('a change of users under a revision', () => {
  const put = (kv: Client) => kv.users.put('bob', { roles: ['app'] }, { ifRevision: 7 })
  const made = answered(200, { name: 'bob', roles: ['app'], has_password: true })

  test.each<[string, Fate]>([
    ['its connection was cut', CUT],
    ['its node was silent', SILENT],
    ['its node does not know the outcome', UNKNOWN],
    ['its node failed', refusal(500, 'internal')],
  ])('is sent again when %s', async (_, fate) => {
    const { kv, transport } = scripted(2, (_at, nth) => (nth === 0 ? fate : made))
    await inVirtualTime(put(kv))
    expect(order(transport)).toHaveLength(2)
    expect(transport.sent.map(({ writeId }) => writeId)).toEqual([undefined, undefined])
  })

  test('has an unknown outcome if the revision is another one by then', async () => {
    const changed = refusal(412, 'precondition_failed', { auth_revision: 8 })
    const { kv } = scripted(2, (_at, nth) => (nth === 0 ? CUT : changed))
    expect(await errorOf(put(kv))).toMatchObject({ code: 'outcome_unknown', written: 'unknown' })
  })

  test('is not sent again without the revision', async () => {
    const { kv, transport } = scripted(2, (_at, nth) => (nth === 0 ? CUT : made))
    const error = await errorOf(kv.users.put('bob', { roles: ['app'] }))
    expect(error).toMatchObject({ code: 'outcome_unknown', written: 'unknown' })
    expect(transport.sent).toHaveLength(1)
  })
})
