// One call, in virtual time: which endpoints it asks and when, what ends it, and what it reports.

import { getEventListeners } from 'node:events'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { CallKind } from '../../src/client/call-error.ts'
import { OutcomeUnknownError, UnavailableError } from '../../src/client/index.ts'
import { answered, type Fate, failed, OK, refusal, Scenario, streaming, systemError } from './scenario.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const URL_1 = 'http://127.0.0.1:1'
const URL_2 = 'http://127.0.0.1:2'
const NO_LEADER = refusal(503, 'no_leader')
const REFUSED = failed(false, systemError('ECONNREFUSED'))
const CUT = failed(true, systemError('ECONNRESET'))
const SILENT = {}
/** The connection is neither accepted nor refused. */
const OFF = { isConnected: () => false }

const times = (scenario: Scenario, at: number) =>
  scenario.asked.flatMap((asked) => (asked.at === at ? [asked.ms] : []))
const order = (scenario: Scenario) => scenario.asked.map(({ at }) => at)

describe('another endpoint is asked', () => {
  test.each([
    [300, 250],
    [2_500, 250],
    [4_000, 400],
    [10_000, 1_000],
    [60_000, 1_000],
  ])('of %d ms after %d ms of silence', async (timeoutMs, patienceMs) => {
    const scenario = new Scenario(2, (at) => (at === 0 ? SILENT : { result: OK }))
    const { answer, ms } = await scenario.run({ timeoutMs })
    expect(answer?.endpoint.url).toBe(URL_2)
    expect(scenario.asked.map((asked) => asked.ms)).toEqual([0, patienceMs])
    expect(ms).toBe(patienceMs)
  })

  // Sent to a second node at once, the body would be late over a wire of 3 Mbit/s, and then that node would have
  // failed: every second write would have an unknown outcome.
  test('for a large body not sooner when an endpoint that failed lately is asked again', async () => {
    const scenario = new Scenario(2, (at) => (at === 0 ? SILENT : { result: OK }))
    scenario.endpoints.all[0]?.failed(performance.now())
    vi.advanceTimersByTime(400)
    await scenario.run({ kind: 'keyed', timeoutMs: 5_000, body: Buffer.alloc(1_000_000) })
    expect(scenario.asked.map((asked) => Math.floor(asked.ms))).toEqual([0, 2_500])
  })

  // Of five nodes two may be lost; and a call may have waited for its turn.
  test.each([0, 2_000, 3_400])(
    'for a large body while there is time for a third: after %d ms',
    async (waitedMs) => {
      const scenario = new Scenario(3, (at) => (at < 2 ? SILENT : { result: OK }))
      const startedAt = performance.now()
      vi.advanceTimersByTime(waitedMs)
      const large = { kind: 'keyed', timeoutMs: 5_000, body: Buffer.alloc(1_000_000) } as const
      const { answer } = await scenario.run({ ...large, startedAt })
      expect(answer?.endpoint.url).toBe('http://127.0.0.1:3')
    },
  )

  // Sent to three nodes at once over a wire of 4 Mbit/s, a value of 1 MB would never arrive in time.
  test.each([
    [5_000, 200_000, 500],
    [5_000, 600_000, 1_500],
    [5_000, 1_000_000, 2_500],
    [1_000, 1_000_000, 500],
    [60_000, 1_000_000, 2_500],
  ])('of %d ms, for a body of %d bytes, after %d ms of silence', async (timeoutMs, bytes, patienceMs) => {
    const scenario = new Scenario(2, (at) => (at === 0 ? SILENT : { result: OK }))
    const { answer } = await scenario.run({ kind: 'keyed', timeoutMs, body: Buffer.alloc(bytes) })
    expect(answer?.endpoint.url).toBe(URL_2)
    expect(scenario.asked.map((asked) => Math.floor(asked.ms))).toEqual([0, patienceMs])
    // Nothing is sent to an endpoint that is off.
    const away = new Scenario(2, (at) => (at === 0 ? OFF : { result: OK }))
    await away.run({ kind: 'keyed', timeoutMs, body: Buffer.alloc(bytes) })
    expect(times(away, 1)).toEqual([Math.min(1_000, Math.max(250, timeoutMs / 10))])
  })

  test.each([
    ['read', 1, 501],
    ['read', 499, 999],
    ['keyed', 501, 1_001],
    ['keyed', 3_000, 3_500],
  ] as const)(
    'of a %s call when nothing more comes of an answer that came until %d ms: after %d',
    async (kind, heardUntilMs, askedMs) => {
      const scenario = new Scenario(2, (at) => (at === 0 ? { heardUntilMs } : { result: OK }))
      for (let round = 0; round < 2; round++) {
        const { answer, ms } = await scenario.run({ kind, timeoutMs: 5_000 })
        expect(answer?.endpoint.url).toBe(URL_2)
        // From then on it is passed over.
        expect(ms).toBe(round === 0 ? askedMs : 0)
      }
      expect(order(scenario)).toEqual([0, 1, 1])
    },
  )

  test('but not while an answer arrives, however long it takes, and its node does not count as failed', async () => {
    for (const afterMs of [600, 4_900]) {
      const scenario = new Scenario(2, () => ({ afterMs, heardUntilMs: afterMs, result: OK }))
      for (let round = 0; round < 2; round++)
        expect((await scenario.run({ timeoutMs: 5_000 })).ms).toBe(afterMs)
      expect(order(scenario)).toEqual([0, 1])
      for (const endpoint of scenario.endpoints.all) expect(endpoint.allows(performance.now())).toBe(true)
    }
  })

  test.each(['read', 'keyed'] as const)('as soon as that is allowed: a %s call', async (kind) => {
    const scenario = new Scenario(2, (at) => (at === 0 ? SILENT : { result: OK }))
    const startedAt = performance.now()
    const isPassedOver: boolean[] = []
    scenario.mayHedge = () => {
      queueMicrotask(() => isPassedOver.push(scenario.endpoints.all[0]?.allows(performance.now()) === false))
      return performance.now() - startedAt >= 1_200
    }
    expect((await scenario.run({ kind, timeoutMs: 5_000 })).ms).toBe(1_200)
    // Meanwhile other calls should begin elsewhere.
    expect(isPassedOver.slice(0, 2)).toEqual([true, true])
    expect((await scenario.run({ kind, timeoutMs: 5_000 })).ms).toBe(0)
    expect(order(scenario)).toEqual([0, 1, 1])
  })

  test('not at all when that is not allowed, but a late answer counts', async () => {
    for (const afterMs of [900, 4_900]) {
      const scenario = new Scenario(2, () => ({ afterMs, result: OK }))
      scenario.mayHedge = () => false
      expect((await scenario.run({ timeoutMs: 5_000 })).ms).toBe(afterMs)
      expect(order(scenario)).toEqual([0])
    }
  })

  test('permission for which is asked only if there is another', async () => {
    for (const count of [1, 2, 3]) {
      const scenario = new Scenario(count, () => ({ afterMs: 4_000, result: OK }))
      let asked = 0
      scenario.mayHedge = () => {
        asked += 1
        return true
      }
      await scenario.run({ timeoutMs: 5_000 })
      expect(asked).toBe(count - 1)
    }
  })

  test('whether that is allowed or not, when the first has not accepted the connection, refuses or is cut', async () => {
    for (const fate of [OFF, { result: NO_LEADER }, { result: CUT }]) {
      const scenario = new Scenario(2, (at) => (at === 0 ? fate : { result: OK }))
      scenario.mayHedge = () => {
        throw new Error('asked')
      }
      for (const kind of ['read', 'keyed'] as const)
        expect((await scenario.run({ kind })).answer).toBeDefined()
    }
  })

  test('with the remaining time, and the node is told a little less', async () => {
    const scenario = new Scenario(2, (at) => (at === 0 ? SILENT : { result: OK }))
    await scenario.run({ timeoutMs: 5_000, path: '/v1/kv/a' })
    await scenario.run({ timeoutMs: 1_000, path: '/v1/kv/a' })
    expect(scenario.asked.map(({ timeoutMs, outgoing }) => [timeoutMs, outgoing.path])).toEqual([
      [5_000, '/v1/kv/a?timeout=4900ms'],
      [4_500, '/v1/kv/a?timeout=4400ms'],
      [1_000, '/v1/kv/a?timeout=950ms'],
    ])
  })

  test('of a read while there are five milliseconds left, not with less', async () => {
    for (const [afterMs, whom] of [
      [195, [0, 1]],
      [196, [0]],
    ] as const) {
      const scenario = new Scenario(2, (at) => (at === 0 ? { afterMs, result: NO_LEADER } : SILENT))
      const { ms } = await scenario.run({ timeoutMs: 200 })
      expect(order(scenario)).toEqual(whom)
      expect(ms).toBeLessThanOrEqual(200)
    }
  })

  test('of a write that was refused while there is a tenth of a second left, not with less', async () => {
    for (const [afterMs, whom] of [
      [100, [0, 1]],
      [101, [0]],
    ] as const) {
      const scenario = new Scenario(2, (at) => (at === 0 ? { afterMs, result: NO_LEADER } : { result: OK }))
      const { error } = await scenario.run({ timeoutMs: 200, kind: 'keyed' })
      expect(order(scenario)).toEqual(whom)
      if (whom.length === 1) expect(error).toMatchObject({ code: 'no_leader', written: 'no' })
    }
  })

  test('of a write that reached no node, until the end', async () => {
    const scenario = new Scenario(1, () => ({ result: REFUSED }))
    const { error } = await scenario.run({ kind: 'keyed' })
    expect(error).toMatchObject({ code: 'unreachable', written: 'no' })
    expect(Math.max(...times(scenario, 0))).toBeGreaterThan(950)
  })

  test('but not one with a Retry-After, before that time', async () => {
    const busy = refusal(429, 'overloaded', { retry_after_ms: 300 })
    const scenario = new Scenario(2, (at) => ({ result: at === 0 ? busy : NO_LEADER }))
    const { error } = await scenario.run()
    expect(error).toBeInstanceOf(UnavailableError)
    const busyAt = times(scenario, 0)
    for (const [n, ms] of busyAt.slice(1).entries()) expect(ms - (busyAt[n] ?? 0)).toBeGreaterThanOrEqual(300)
    expect(busyAt.length).toBeGreaterThan(1)
    expect(times(scenario, 1).length).toBeGreaterThan(busyAt.length)
  })

  test.each([
    [995, [0, 995]],
    [996, [0]],
  ])('a pause of %d ms in a second is kept if it leaves time for a try', async (retry_after_ms, asked) => {
    const scenario = new Scenario(1, () => ({ result: refusal(429, 'overloaded', { retry_after_ms }) }))
    const { error, ms } = await scenario.run()
    expect(ms).toBe(asked.at(-1))
    expect(error).toMatchObject({ code: 'overloaded', written: 'no', retryAfterMs: retry_after_ms })
    expect(times(scenario, 0)).toEqual(asked)
  })
})

describe('the circuit breaker', () => {
  const allows = ({ endpoints }: Scenario) =>
    endpoints.all.map((endpoint) => endpoint.allows(performance.now()))

  test.each<[string, boolean, ConstructorParameters<typeof Scenario>[1]]>([
    ['refuses the connection', false, (at) => ({ result: at === 0 ? REFUSED : OK })],
    ['has no leader', false, (at) => ({ result: at === 0 ? NO_LEADER : OK })],
    ['keeps silent', false, (at) => (at === 0 ? SILENT : { result: OK })],
    ['answers', true, () => ({ result: OK })],
    ['refuses for good', true, () => ({ result: refusal(400, 'bad_request') })],
    ['works again', true, (_, nth) => ({ result: nth === 0 ? REFUSED : OK })],
    [
      'refuses for good, then',
      true,
      (_, nth) => ({ result: nth < 2 ? REFUSED : refusal(400, 'bad_request') }),
    ],
  ])('of an endpoint that %s: closed %s', async (name, closed, fate) => {
    const scenario = new Scenario(name.includes('again') || name.includes('then') ? 1 : 2, fate)
    await scenario.run()
    expect(allows(scenario)[0]).toBe(closed)
  })

  test('a try that was given up does not count against its endpoint', async () => {
    const abort = new AbortController()
    setTimeout(() => abort.abort(), 100)
    const scenario = new Scenario(1, () => SILENT)
    const { ms } = await scenario.run({ signal: abort.signal })
    expect(ms).toBe(100)
    expect(allows(scenario)).toEqual([true])
    expect(scenario.failures).toBe(0)
  })

  test('nor does one that is given up for a new idempotency key', async () => {
    const expired = refusal(409, 'idempotency_expired')
    const unconnected = { ...OFF, whenCancelled: REFUSED }
    const scenario = new Scenario(2, (at, nth) =>
      nth === 2 ? { result: OK } : at === 0 ? unconnected : { result: expired },
    )
    const { answer } = await scenario.run({
      kind: 'keyed',
      timeoutMs: 3_000,
      renewed: () => ['new', 1],
    })
    expect(answer).toBeDefined()
    expect(scenario.failures).toBe(0)
    expect(scenario.cancelled).toEqual([0])
    expect(scenario.asked.map(({ outgoing }) => outgoing.identity)).toEqual([
      undefined,
      undefined,
      ['new', 1],
    ])
  })

  test('failures are told', async () => {
    const scenario = new Scenario(2, (at) => ({ result: at === 0 ? REFUSED : OK }))
    await scenario.run()
    expect(scenario.failures).toBe(1)
  })
})

describe('the one request that tries an endpoint again', () => {
  test('is the probe of its circuit breaker, until it ends', async () => {
    const scenario = new Scenario(1, (_, nth) =>
      nth === 0 ? { result: REFUSED } : { afterMs: 200, result: OK },
    )
    const [endpoint] = scenario.endpoints.all
    let isProbed: boolean | undefined
    setTimeout(() => {
      isProbed = endpoint?.isProbed
    }, 100)
    await scenario.run()
    expect(scenario.asked.length).toBe(2)
    expect(isProbed).toBe(true)
    expect(endpoint?.isProbed).toBe(false)
  })
})

describe('a change that must not be sent twice', () => {
  test('is sent again while it has certainly not been done', async () => {
    const fates = [{ result: REFUSED }, { result: NO_LEADER }, { result: OK }]
    const scenario = new Scenario(1, (_, nth) => fates[nth] ?? SILENT)
    expect((await scenario.run({ kind: 'bare' })).answer).toBeDefined()
    expect(scenario.asked.length).toBe(3)
  })

  test('goes elsewhere from an endpoint that does not accept the connection', async () => {
    const scenario = new Scenario(2, (at) => (at === 0 ? OFF : { result: OK }))
    const { answer, ms } = await scenario.run({ kind: 'bare' })
    expect(answer?.endpoint.url).toBe(URL_2)
    expect(ms).toBe(250)
    expect(scenario.cancelled).toEqual([0])
    const all = new Scenario(2, () => OFF)
    expect((await all.run({ kind: 'bare', unreachableAfterMs: 300 })).error).toMatchObject({
      message: `cannot connect to ${URL_1}, ${URL_2}: no connection`,
    })
  })

  test('stays when it may have been accepted while it was given up', async () => {
    const scenario = new Scenario(2, (at) => (at === 0 ? { ...OFF, whenCancelled: CUT } : { result: OK }))
    const { error, ms } = await scenario.run({ kind: 'bare' })
    expect(error).toMatchObject({ code: 'outcome_unknown', written: 'unknown' })
    expect(order(scenario)).toEqual([0])
    expect(ms).toBe(250)
  })

  test.each<[string, Fate, number, string]>([
    ['keeps silent', SILENT, 1_000, 'outcome_unknown'],
    ['is cut off', { result: CUT }, 0, 'outcome_unknown'],
    ['does not know the outcome', { result: refusal(504, 'outcome_unknown') }, 0, 'outcome_unknown'],
    ['has failed', { result: refusal(500, 'internal') }, 0, 'internal'],
  ])('stays where a node %s', async (_, fate, ms, code) => {
    const scenario = new Scenario(2, (at) => (at === 0 ? fate : { result: OK }))
    const outcome = await scenario.run({ kind: 'bare' })
    expect(outcome.error).toMatchObject({ code, written: 'unknown' })
    expect(outcome.ms).toBe(ms)
    expect(order(scenario)).toEqual([0])
  })

  test('is answered late', async () => {
    const scenario = new Scenario(2, (at) => (at === 0 ? { afterMs: 900, result: OK } : { result: OK }))
    expect((await scenario.run({ kind: 'bare' })).ms).toBe(900)
    expect(order(scenario)).toEqual([0])
  })
})

describe('an idempotency key that is too old', () => {
  const EXPIRED = refusal(409, 'idempotency_expired')
  const renewed = () => ['new', 1] as const

  test('is replaced at once, also while another endpoint is silent', async () => {
    const fates = [{ afterMs: 300, result: EXPIRED }, OFF, { result: OK }]
    const scenario = new Scenario(2, (_, nth) => fates[nth] ?? SILENT)
    const { answer } = await scenario.run({ kind: 'keyed', renewed, timeoutMs: 2_000 })
    expect(answer).toBeDefined()
    expect(scenario.asked.slice(0, 2).map(({ ms }) => ms)).toEqual([0, 250])
    expect(scenario.asked[2]?.ms).toBeLessThan(500)
    expect(scenario.asked.map(({ outgoing }) => outgoing.identity)).toEqual([
      undefined,
      undefined,
      ['new', 1],
    ])
  })

  test.each<[CallKind, Fate[], string]>([
    ['keyed', [{ result: CUT }, { result: EXPIRED }], 'outcome_unknown'],
    ['keyed', [{ afterMs: 300, result: EXPIRED }, SILENT], 'outcome_unknown'],
    ['bare', [{ result: EXPIRED }], 'idempotency_expired'],
    ['read', [{ result: EXPIRED }], 'idempotency_expired'],
  ])('ends a %s call that may have been applied, or that has none (%j)', async (kind, fates, code) => {
    const scenario = new Scenario(2, (_, nth) => fates[nth] ?? { result: OK })
    const { error } = await scenario.run({ kind, ...(kind === 'keyed' ? { renewed } : {}) })
    expect(error).toMatchObject({ code, written: code === 'outcome_unknown' ? 'unknown' : 'no' })
    expect(scenario.asked.length).toBe(fates.length)
  })
})

test('a call that was aborted before it began asks no endpoint', async () => {
  const scenario = new Scenario(1, () => ({ result: OK }))
  const { error } = await scenario.run({ kind: 'keyed', signal: AbortSignal.abort('enough') })
  expect(error).toMatchObject({ name: 'AbortError', written: 'no', cause: 'enough' })
  expect(scenario.asked).toEqual([])
})

test('an answer that has what the call wants ends it, even if it is an error', async () => {
  const scenario = new Scenario(1, () => ({ result: NO_LEADER }))
  expect((await scenario.run({ isEnough: () => true })).answer).toMatchObject({ status: 503 })
  expect((await scenario.run({ isEnough: () => false })).error).toMatchObject({ code: 'no_leader' })
})

describe.each(['read', 'keyed', 'bare'] as const)('everybody is asked by a %s', (kind) => {
  test.each([
    [2, 500, 30_000],
    [3, 500, 5_000],
    [7, 500, 5_000],
    [3, 300, 300],
  ])(
    'of %d endpoints that has %d of %d ms to reach one, before it fails as unreachable',
    async (count, ...ms) => {
      const [unreachableAfterMs, timeoutMs] = ms
      const scenario = new Scenario(count, (at) => (at < count - 1 ? OFF : { result: OK }))
      const { answer, error } = await scenario.run({ kind, unreachableAfterMs, timeoutMs })
      expect(error).toBeUndefined()
      expect(answer?.endpoint.port).toBe(count)
      expect(order(scenario)).toEqual(Array.from({ length: count }, (_, at) => at))
      const shareMs = unreachableAfterMs / count
      for (const [at, { ms }] of scenario.asked.entries())
        expect(Math.abs(ms - at * shareMs)).toBeLessThan(count)
    },
  )
})

describe('unreachableAfterMs', () => {
  /** A connection that is established just after the first check. */
  function acceptedAt(afterMs: number): () => boolean {
    const from = performance.now() + afterMs
    let isConnected = false
    return () => {
      if (performance.now() >= from)
        setImmediate(() => {
          isConnected = true
        })
      return isConnected
    }
  }

  test('is no limit to a node that has accepted the connection', async () => {
    const scenario = new Scenario(1, () => ({ afterMs: 900, result: OK }))
    expect((await scenario.run({ unreachableAfterMs: 100 })).ms).toBe(900)
  })

  test('nor to one that accepts it at that moment', async () => {
    const scenario = new Scenario(2, (at) =>
      at === 0 ? { afterMs: 200, result: OK, isConnected: acceptedAt(100) } : SILENT,
    )
    expect((await scenario.run({ unreachableAfterMs: 100 })).ms).toBe(200)
    expect(order(scenario)).toEqual([0, 1])
    const late = new Scenario(1, () => ({ afterMs: 300, result: OK, isConnected: acceptedAt(250) }))
    expect((await late.run({ unreachableAfterMs: 252 })).ms).toBe(300)
  })
})

test('a call waits for a slow node while the others have a Retry-After', async () => {
  const busy = refusal(429, 'overloaded', { retry_after_ms: 3_600_000 })
  const scenario = new Scenario(3, (at) => (at === 0 ? { afterMs: 900, result: OK } : { result: busy }))
  expect((await scenario.run()).ms).toBe(900)
  expect(order(scenario)).toEqual([0, 1, 2])
})

test.each<[string, Fate]>([
  ['answered', { result: OK }],
  ['late', { afterMs: 900, result: OK }],
  ['refused', { result: REFUSED }],
  ['cut', { result: CUT }],
  ['silent', SILENT],
  ['off', OFF],
])('no timer is left behind (%s)', async (_, fate) => {
  for (const kind of ['read', 'keyed', 'bare'] as const) {
    await new Scenario(2, () => fate).run({ kind })
    expect(vi.getTimerCount()).toBe(0)
  }
})

describe('an answer that comes when the call has ended', () => {
  const PRECONDITION = refusal(412, 'precondition_failed', { current: null })

  test('counts when only the time was over', async () => {
    for (const [whenCancelled, says] of [
      [OK, { answer: { status: 200 } }],
      [PRECONDITION, { error: { code: 'precondition_failed', written: 'no' } }],
      [refusal(409, 'idempotency_expired'), { error: { code: 'timeout', written: 'no' } }],
      [NO_LEADER, { error: { code: 'no_leader', written: 'no' } }],
      [CUT, { error: { code: 'outcome_unknown', written: 'unknown' } }],
    ] as const) {
      const scenario = new Scenario(1, () => ({ ...OFF, whenCancelled }))
      const outcome = await scenario.run({ kind: 'keyed', unreachableAfterMs: 200, timeoutMs: 3_600_000 })
      expect(outcome).toMatchObject(says)
      expect(outcome.ms).toBe(200)
    }
  })

  test('counts when another node refused, if it is the outcome of the write', async () => {
    for (const [whenCancelled, says] of [
      [OK, { answer: { status: 200 } }],
      [PRECONDITION, { error: { code: 'precondition_failed', written: 'no' } }],
      [CUT, { error: { code: 'outcome_unknown', written: 'unknown' } }],
      [NO_LEADER, { error: { code: 'value_too_large', written: 'no' } }],
    ] as const) {
      const large = refusal(413, 'value_too_large')
      const scenario = new Scenario(2, (at) => (at === 0 ? { whenCancelled } : { result: large }))
      expect(await scenario.run({ kind: 'keyed' })).toMatchObject(says)
    }
  })

  test('is not waited for when the outcome is known', async () => {
    for (const result of [OK, PRECONDITION]) {
      const scenario = new Scenario(2, (at) => (at === 0 ? { whenCancelled: null } : { result }))
      const { ms } = await scenario.run({ kind: 'keyed' })
      expect(ms).toBe(250)
      expect(scenario.cancelled).toEqual([0])
    }
  })

  test.each([
    ['read', 'no', 'the call was aborted'],
    ['keyed', 'unknown', 'the call was aborted; the write may have been applied'],
    ['bare', 'unknown', 'the call was aborted; the write may have been applied'],
  ] as const)('of a %s call that was aborted: written %s', async (kind, written, message) => {
    const abort = new AbortController()
    const reason = new Error('enough')
    setTimeout(() => abort.abort(reason), 100)
    const scenario = new Scenario(1, () => ({ whenCancelled: OK }))
    const { error, ms } = await scenario.run({ kind, signal: abort.signal })
    expect(error).toMatchObject({ name: 'AbortError', code: 'aborted', written, message, cause: reason })
    expect(ms).toBe(100)
    expect(getEventListeners(abort.signal, 'abort')).toEqual([])
    expect(scenario.listeners).toBe(0)
  })

  test('is not read, though another is', async () => {
    const [late, first] = [streaming(), streaming()]
    const scenario = new Scenario(2, (at) =>
      at === 0 ? { whenCancelled: late.result } : { result: first.result },
    )
    const { answer } = await scenario.run({ stream: true })
    while (!late.stream.destroyed) await vi.advanceTimersByTimeAsync(0)
    expect(answer).toMatchObject({ endpoint: { url: URL_2 } })
    expect(first.stream.destroyed).toBe(false)
  })

  test('is not read', async () => {
    const begun = streaming()
    const abort = new AbortController()
    setTimeout(() => abort.abort(), 100)
    await new Scenario(1, () => ({ whenCancelled: begun.result })).run({ signal: abort.signal, stream: true })
    expect(begun.stream.destroyed).toBe(true)
  })
})

describe('a stream is left', () => {
  test.each<[string, boolean, (scenario: Scenario) => string | undefined]>([
    ['open, as the answer', false, () => undefined],
    [
      'when a callback throws',
      true,
      () => {
        throw new RangeError('from the application')
      },
    ],
    [
      'when a callback ends the call',
      true,
      (scenario) => {
        scenario.close()
        return undefined
      },
    ],
    ['when it is of another cluster', true, () => '78'],
  ])('%s', async (_, destroyed, onAnswer) => {
    const begun = streaming()
    const scenario = new Scenario(1, () => ({ result: begun.result }))
    scenario.onAnswer = () => onAnswer(scenario)
    await scenario.run({ stream: true })
    expect(begun.stream.destroyed).toBe(destroyed)
  })
})

test.each(['read', 'keyed', 'bare'] as const)(
  'a connection accepted too late for a %s: nothing has left',
  async (kind) => {
    for (const [accepted, code] of [
      [true, 'timeout'],
      [false, 'unreachable'],
    ] as const) {
      const result = { ...failed(false, new Error('late')), accepted }
      const scenario = new Scenario(1, () => ({ isConnected: () => false, afterMs: 240, result }))
      expect((await scenario.run({ kind, timeoutMs: 250 })).error).toMatchObject({ code, written: 'no' })
    }
  },
)

test('what a callback throws is what the call throws', async () => {
  const scenario = new Scenario(1, () => ({ result: OK }))
  const thrown = new RangeError('from the application')
  scenario.onAnswer = () => {
    throw thrown
  }
  expect((await scenario.run()).error).toBe(thrown)
})

describe('a node of another cluster', () => {
  test.each<[CallKind, number, 'no' | 'unknown', number]>([
    ['read', 200, 'no', 2],
    ['keyed', 200, 'unknown', 1],
    ['keyed', 399, 'unknown', 1],
    ['keyed', 400, 'no', 2],
    ['keyed', 421, 'no', 2],
    ['keyed', 499, 'no', 2],
    ['keyed', 500, 'unknown', 1],
    ['bare', 200, 'unknown', 1],
  ])('answers a %s call with %d: written %s', async (kind, status, written, asked) => {
    const scenario = new Scenario(2, () => ({ result: answered(status, {}, { 'kv-node': 'n9' }) }))
    scenario.onAnswer = () => '78'
    const { error } = await scenario.run({ kind })
    expect(error).toMatchObject({
      name: 'QuorateError',
      message: `${URL_1} belongs to another cluster (78)`,
      code: 'wrong_cluster',
      written,
      status,
      node: 'n9',
      endpoint: URL_1,
    })
    expect(order(scenario)).toEqual(asked === 1 ? [0] : [0, 1])
    expect(scenario.endpoints.all[0]?.allows(performance.now())).toBe(false)
  })

  test('begins a stream', async () => {
    const scenario = new Scenario(1, () => ({ result: streaming().result }))
    scenario.onAnswer = () => '78'
    const { error } = await scenario.run({ stream: true })
    expect(error).toMatchObject({ code: 'wrong_cluster', written: 'no', status: 200, node: undefined })
  })

  test('may say so itself; then the others are asked', async () => {
    const wrong = refusal(421, 'wrong_cluster', { detail: 'this is cluster 78' })
    const scenario = new Scenario(2, (at) => ({ result: at === 0 ? wrong : OK }))
    expect((await scenario.run({ kind: 'keyed' })).answer?.endpoint.url).toBe(URL_2)
    const all = new Scenario(2, () => ({ result: wrong }))
    expect((await all.run({ kind: 'keyed' })).error).toMatchObject({ code: 'wrong_cluster', written: 'no' })
    expect(order(all)).toEqual([0, 1])
  })

  test('when the right one cannot be reached, the error names both', async () => {
    const scenario = new Scenario(4, (at) => ({ result: at % 2 === 0 ? OK : REFUSED }))
    scenario.onAnswer = ({ endpoint }) => (endpoint.port % 2 === 1 ? '78' : undefined)
    const { error } = await scenario.run()
    expect(error).toMatchObject({
      message:
        'cannot connect to http://127.0.0.1:2, http://127.0.0.1:4: connection refused; ' +
        'http://127.0.0.1:1 belongs to another cluster (78); http://127.0.0.1:3 belongs to another cluster (78)',
    })
  })
})

// For example, the first node's name is not served yet, and the others are not started.
test('the reason why a node was left out is told also when no other can be reached', async () => {
  const unserved = refusal(421, 'host_not_allowed', { detail: 'see --allowed-host' })
  const scenario = new Scenario(2, (at) => ({ result: at === 0 ? unserved : REFUSED }))
  expect((await scenario.run()).error).toMatchObject({
    message: 'no answer within 1 s (connection refused); see --allowed-host',
    ...{ code: 'timeout', written: 'no' },
  })
})

describe('what the error says', () => {
  test.each([
    [systemError('ECONNREFUSED'), 'connection refused'],
    [systemError('ENOTFOUND'), 'no such host'],
    [systemError('EHOSTUNREACH'), 'no route to that host'],
    [systemError('ECONNRESET'), 'the connection was cut'],
    [systemError('EPIPE'), 'the connection was cut'],
    [systemError('EMFILE', 'too many open files'), 'too many open files'],
    [systemError('EMFILE', ''), 'EMFILE'],
    [new Error('something else'), 'something else'],
    [new Error(''), ''],
  ])('%o', async (cause, reason) => {
    const nobody = await new Scenario(2, () => ({ result: failed(false, cause) })).run()
    expect(nobody.error).toMatchObject({
      name: 'UnreachableError',
      code: 'unreachable',
      written: 'no',
      message: `cannot connect to ${URL_1}, ${URL_2}: ${reason}`,
    })
    const cut = await new Scenario(1, () => ({ result: failed(true, cause) })).run({ kind: 'bare' })
    expect(cut.error).toBeInstanceOf(OutcomeUnknownError)
    expect(cut.error).toMatchObject({
      code: 'outcome_unknown',
      written: 'unknown',
      message: `sent, but no node said within 1 s what became of it (${URL_1}: ${reason})`,
      cause: { message: `${URL_1}: ${reason}`, cause },
    })
  })

  test.each([
    [1_000, '1 s'],
    [1_500, '1.5 s'],
    [12, '0.012 s'],
  ])('within %d ms', async (timeoutMs, seconds) => {
    const { error } = await new Scenario(1, () => SILENT).run({ timeoutMs })
    expect(error).toMatchObject({
      name: 'UnavailableError',
      code: 'timeout',
      written: 'no',
      message: `no answer within ${seconds} (${URL_1}: no answer)`,
      cause: { message: `${URL_1}: no answer` },
    })
  })

  test('when nothing has been asked', async () => {
    const scenario = new Scenario(1, () => SILENT)
    const { error } = await scenario.run({ isReached: true, startedAt: performance.now() - 998 })
    expect(error).toMatchObject({ code: 'timeout', message: 'no answer within 1 s' })
    expect(error).not.toHaveProperty('cause')
    expect(scenario.asked).toEqual([])
  })

  test('when no endpoint has accepted the connection', async () => {
    const { error, ms } = await new Scenario(1, () => OFF).run({ unreachableAfterMs: 100 })
    expect(error).toMatchObject({
      code: 'unreachable',
      message: `cannot connect to ${URL_1}`,
    })
    expect(error).not.toHaveProperty('cause')
    expect(ms).toBe(100)
  })

  test('when the client was closed', async () => {
    for (const [kind, message] of [
      ['read', 'the client was closed'],
      ['keyed', 'the client was closed; the write may have been applied'],
    ] as const) {
      const scenario = new Scenario(1, () => SILENT)
      setTimeout(() => scenario.close(), 100)
      const { error, ms } = await scenario.run({ kind })
      expect(error).toMatchObject({ name: 'AbortError', code: 'closed', message })
      expect(error).not.toHaveProperty('cause')
      expect(ms).toBe(100)
    }
  })

  test('when a node refused after a try without an answer', async () => {
    const scenario = new Scenario(2, (at) => ({
      result: at === 0 ? CUT : refusal(413, 'value_too_large', { detail: 'too large' }),
    }))
    const { error } = await scenario.run({ kind: 'keyed' })
    expect(error).toMatchObject({
      name: 'OutcomeUnknownError',
      message: 'an earlier try was sent, its outcome is unknown; then: too large',
      cause: { code: 'value_too_large' },
    })
  })

  test('when a condition failed: the current record; an answer without it is not an outcome', async () => {
    const meta = { key: 'k', create_revision: 2, mod_revision: 3, version: 4 }
    for (const [current, says] of [
      [null, { name: 'PreconditionFailedError', written: 'no', current: null }],
      [meta, { name: 'PreconditionFailedError', written: 'no', current: { modRevision: 3, version: 4 } }],
      [
        undefined,
        {
          code: 'unexpected_answer',
          written: 'unknown',
          message: expect.stringMatching('"current" is not an object'),
        },
      ],
      [
        { ...meta, version: 'x' },
        { code: 'unexpected_answer', written: 'unknown' },
      ],
    ] as const) {
      const scenario = new Scenario(1, () => ({
        result: answered(412, { code: 'precondition_failed', current }),
      }))
      expect((await scenario.run({ kind: 'keyed' })).error).toMatchObject(says)
    }
  })

  test.each([502, 503, 504])(
    'when a proxy answers %d: neither that a node is unavailable, nor the outcome of a write',
    async (status) => {
      const scenario = new Scenario(1, () => ({ result: answered(status, {}) }))
      const { error } = await scenario.run({ kind: 'keyed' })
      expect(error).toMatchObject({
        name: 'QuorateError',
        code: 'unexpected_answer',
        written: 'unknown',
        status,
      })
      expect(scenario.asked.length).toBeGreaterThan(3)
    },
  )

  test('when a condition failed after a try without an answer: that is the outcome of the write', async () => {
    const condition = refusal(412, 'precondition_failed', { current: null })
    const scenario = new Scenario(1, (_, nth) => ({ result: nth === 0 ? CUT : condition }))
    const { error } = await scenario.run({ kind: 'keyed' })
    expect(error).toMatchObject({ name: 'PreconditionFailedError', written: 'no', current: null })
  })

  test('when a node refused after one that did not know the outcome', async () => {
    const lost = refusal(504, 'outcome_unknown')
    const scenario = new Scenario(1, (_, nth) => ({
      result: nth === 0 ? lost : refusal(413, 'value_too_large'),
    }))
    const { error } = await scenario.run({ kind: 'keyed' })
    expect(error).toMatchObject({ code: 'outcome_unknown', written: 'unknown' })
  })

  test('when a node does not know the outcome', async () => {
    const lost = refusal(504, 'outcome_unknown', { detail: 'the leader was lost' }, { 'kv-node': 'n1' })
    const fate = (_: number, nth: number) => ({ result: nth === 0 ? lost : REFUSED })
    expect((await new Scenario(1, fate).run({ kind: 'keyed' })).error).toMatchObject({
      ...{ name: 'OutcomeUnknownError', code: 'outcome_unknown', written: 'unknown' },
      ...{ message: 'the leader was lost', status: 504, endpoint: URL_1, node: 'n1' },
    })
    expect((await new Scenario(1, () => ({ result: lost })).run()).error).toMatchObject({
      ...{ name: 'UnavailableError', code: 'timeout', written: 'no' },
      ...{ message: 'the leader was lost', status: 504, endpoint: URL_1, node: 'n1' },
    })
  })

  test('when a node refused permanently: not that it is unavailable, and its name only if the node gives it', async () => {
    for (const kind of ['read', 'keyed', 'bare'] as const) {
      const scenario = new Scenario(1, () => ({ result: refusal(400, 'bad_request') }))
      const { error } = await scenario.run({ kind })
      expect(error).toMatchObject({ name: 'QuorateError', code: 'bad_request', message: 'bad_request' })
      expect(error).toMatchObject({ written: 'no', node: undefined })
      expect(scenario.asked.length).toBe(1)
    }
  })
})

test('a node that answers `internal` is asked three times', async () => {
  for (const kind of ['read', 'keyed'] as const) {
    const scenario = new Scenario(1, () => ({ result: refusal(500, 'internal') }))
    expect((await scenario.run({ kind })).error).toMatchObject({ code: 'internal' })
    expect(scenario.asked.length).toBe(3)
  }
})

test('an internal error is no reason for silence that follows', async () => {
  const scenario = new Scenario(1, (_, nth) => (nth === 0 ? { result: refusal(500, 'internal') } : SILENT))
  expect((await scenario.run()).error).toMatchObject({ code: 'timeout', written: 'no' })
})

test('a node that was reached is waited for to the end, even if it refuses connections now', async () => {
  const scenario = new Scenario(1, (_, nth) => ({ result: nth === 0 ? NO_LEADER : REFUSED }))
  const { error } = await scenario.run({ unreachableAfterMs: 300 })
  expect(error).toMatchObject({ code: 'no_leader' })
  expect(Math.max(...times(scenario, 0))).toBeGreaterThan(900)
  const cut = new Scenario(1, (_, nth) => ({ result: nth === 0 ? CUT : REFUSED }))
  expect((await cut.run({ unreachableAfterMs: 300 })).error).toMatchObject({ code: 'timeout' })
  expect(Math.max(...times(cut, 0))).toBeGreaterThan(900)
})
