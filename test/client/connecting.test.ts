// Endpoints that accept no connection, like a machine that is off, and endpoints that accept it and stay silent.

import dns from 'node:dns'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Call, perform } from '../../src/client/call.ts'
import type { CallKind } from '../../src/client/call-error.ts'
import { type Endpoint, Endpoints } from '../../src/client/endpoints.ts'
import type { Exchanged } from '../../src/client/transport/http-transport.ts'
import { inVirtualTime } from './scenario.ts'
import { clientOf, failure, fake, freezeTime } from './with-fakes.ts'

beforeEach(freezeTime)
afterEach(() => {
  vi.restoreAllMocks()
})

const OK: Exchanged = {
  kind: 'answered',
  status: 200,
  headers: { 'kv-cluster': '77' },
  body: Buffer.from('{}'),
}
/** Another endpoint is asked after a tenth of it. */
const TIMEOUT_MS = 5_000

/** The result of a request: the connection is not accepted, the node is silent, refuses the connection or answers. */
type Fate = 'off' | 'silent' | 'refuses' | 'answers'

/** A call with endpoints that behave like this, asked in this order. */
class Scenario {
  readonly fates: Fate[]
  readonly endpoints: Endpoints
  /** Numbers of the endpoints, in the order in which they were asked. */
  readonly asked: number[] = []
  onAsked = (_at: number) => {}
  readonly #end = new Map<number, (result: Exchanged) => void>()

  constructor(...fates: Fate[]) {
    this.fates = fates
    this.endpoints = new Endpoints(
      fates.map((_, at) => `http://127.0.0.1:${at + 1}`),
      () => 0,
    )
  }

  call(kind: CallKind, limits: Partial<Call>): Promise<unknown> {
    const what = {
      kind,
      method: 'GET',
      path: '/',
      headers: {},
      body: undefined,
      stream: false,
      signal: undefined,
    }
    const patience = { timeoutMs: TIMEOUT_MS, unreachableAfterMs: TIMEOUT_MS, startedAt: performance.now() }
    const running = perform(
      { ...what, ...patience, ...limits },
      {
        endpoints: this.endpoints,
        transport: { exchange: (endpoint) => this.#exchange(endpoint) },
        onAnswer: () => undefined,
        onFailure: () => {},
        mayHedge: () => true,
        onClose: () => () => {},
      },
    )
    return inVirtualTime(running)
  }

  answer(at: number): void {
    this.#end.get(at)?.(OK)
  }

  #exchange({ port }: Endpoint) {
    const at = port - 1
    const connected = this.fates[at] === 'silent'
    const { promise, resolve } = Promise.withResolvers<Exchanged>()
    const fail = (reason = 'given up') =>
      resolve({ kind: 'failed', connected, timedOut: false, cause: new Error(reason) })
    this.#end.set(at, resolve)
    this.asked.push(at)
    if (this.fates[at] === 'answers') resolve(OK)
    if (this.fates[at] === 'refuses') fail('connection refused')
    this.onAsked(at)
    return {
      result: promise,
      isConnected: () => connected,
      heardAt: () => 0,
      lookupMs: () => 0,
      cancel: fail,
    }
  }
}

describe('a change that must not be sent twice', () => {
  test('goes elsewhere from an endpoint that is off', async () => {
    for (let round = 0; round < 2; round++) {
      const scenario = new Scenario('off', 'off', 'answers')
      await scenario.call('bare', {})
      expect(scenario.asked).toEqual([0, 1, 2])
    }
  })

  test('tries one that is off again', async () => {
    const scenario = new Scenario('off')
    scenario.onAsked = () => {
      if (scenario.asked.length === 2) scenario.answer(0)
    }
    await scenario.call('bare', {})
    expect(scenario.asked).toEqual([0, 0])
  })

  test('stays where it may have left', async () => {
    const scenario = new Scenario('silent', 'answers')
    const error = await failure(scenario.call('bare', { timeoutMs: 400 }))
    expect(error).toMatchObject({ code: 'outcome_unknown', written: 'unknown' })
    expect(scenario.asked).toEqual([0])
  })

  test('says why, when all are off', async () => {
    const error = await failure(new Scenario('off', 'off').call('bare', { unreachableAfterMs: 700 }))
    expect(error).toMatchObject({ code: 'unreachable', written: 'no' })
    expect(error.message).toMatch('no connection')
  })
})

describe.each(['read', 'keyed', 'bare'] as const)('unreachableAfterMs of a %s call', (kind) => {
  test('ends the wait for endpoints that are off', async () => {
    const scenario = new Scenario('off', 'off')
    const error = await failure(scenario.call(kind, { unreachableAfterMs: 300, timeoutMs: 3_600_000 }))
    expect(error).toMatchObject({ code: 'unreachable', written: 'no' })
  })

  test('but not once one has accepted a connection', async () => {
    const scenario = new Scenario('silent')
    const unreachableAfterMs = 20
    const waiting = scenario.call(kind, { unreachableAfterMs, timeoutMs: 400 })
    expect((await failure(waiting)).code).toBe(kind === 'read' ? 'timeout' : 'outcome_unknown')
  })
})

test.each(['get', 'members', 'addMember'] as const)(
  'a process that is busy while its connection is accepted has reached the node (%s)',
  async (what) => {
    const node = await fake()
    const member = { name: 'n4', replicaId: '9', peer: '127.0.0.1:4', url: 'http://127.0.0.1:5' }
    for (let round = 0; round < 2; round++) {
      const kv = clientOf([node], { unreachableAfterMs: 50, timeoutMs: 20_000 })
      const called = what === 'get' ? kv.get('a') : what === 'members' ? kv.members() : kv.addMember(member)
      // Other work, after the connection was requested: timers run late, and before the process looks at its sockets.
      setImmediate(() => vi.advanceTimersByTime(400))
      await called
    }
  },
)

test('a name whose lookup takes longer than a call is reached by a later one', async () => {
  const node = await fake()
  node.set('a', '1')
  const answers: (() => void)[] = []
  type Found = (error: null, addresses: readonly dns.LookupAddress[]) => void
  const slow = (_host: string, _options: unknown, done: Found) =>
    void answers.push(() => done(null, [{ address: '127.0.0.1', family: 4 }]))
  vi.spyOn(dns, 'lookup').mockImplementation(slow as unknown as typeof dns.lookup)
  for (const host of ['slow.example', 'slow2.example']) {
    answers.length = 0
    const kv = clientOf([`${host}:${node.port}`], { timeoutMs: 20_000 })
    const calls = [kv.get('a', { timeoutMs: 300 }), kv.put('a', '2', { timeoutMs: 300 })].map(failure)
    await vi.advanceTimersByTimeAsync(300)
    for (const error of await Promise.all(calls))
      expect(error).toMatchObject({ code: 'unreachable', written: 'no' })
    const found = kv.get('a')
    // The lookup of the first attempt. If each attempt did a new lookup, none would ever connect.
    expect(answers.length).toBe(1)
    answers[0]?.()
    expect((await found)?.text()).toBe('1')
  }
})

// The command gives up soon when no node can be reached, and makes a new client each time.
test('a name whose lookup takes longer than unreachableAfterMs is reached by the first call', async () => {
  const node = await fake()
  node.set('a', '1')
  const answers: (() => void)[] = []
  type Found = (error: Error | null, addresses?: readonly dns.LookupAddress[]) => void
  let answer = (done: Found) => done(null, [{ address: '127.0.0.1', family: 4 }])
  const slow = (_host: string, _options: unknown, done: Found) => void answers.push(() => answer(done))
  vi.spyOn(dns, 'lookup').mockImplementation(slow as unknown as typeof dns.lookup)
  const limits = { timeoutMs: 20_000, unreachableAfterMs: 500 }
  const found = clientOf([`slow3.example:${node.port}`], limits).get('a')
  const none = failure(clientOf([`slow4.example:${node.port}`], limits).get('a'))
  for (let ms = 0; ms < 5_000; ms += 250) await vi.advanceTimersByTimeAsync(250)
  answers[0]?.()
  expect((await found)?.text()).toBe('1')
  answer = (done) => done(new Error('no such name'))
  answers[1]?.()
  expect(await none).toMatchObject({ code: 'unreachable', written: 'no' })
  expect(answers.length).toBe(2)
})

// As without names: an endpoint that is off takes a share of the time for reaching a node, and not more time than there
// is.
test('while a name is looked up, the next node is asked as soon as without a lookup', async () => {
  const node = await fake()
  node.set('a', '1')
  const answers: (() => void)[] = []
  type Found = (error: null, addresses: readonly dns.LookupAddress[]) => void
  const slow = (_host: string, _options: unknown, done: Found) =>
    void answers.push(() => done(null, [{ address: '127.0.0.1', family: 4 }]))
  vi.spyOn(dns, 'lookup').mockImplementation(slow as unknown as typeof dns.lookup)
  const names = [`slow5.example:${node.port}`, `slow6.example:${node.port}`]
  const found = clientOf(names, { timeoutMs: 20_000, unreachableAfterMs: 500 }).get('a')
  await vi.advanceTimersByTimeAsync(250)
  await nextTurn()
  expect(answers.length).toBe(2)
  answers[1]?.()
  expect((await found)?.text()).toBe('1')
})

test('a silent endpoint does not end the tries of one that refuses', async () => {
  const scenario = new Scenario('silent', 'refuses')
  scenario.onAsked = () => {
    if (scenario.asked.length > 8) scenario.fates[1] = 'answers'
  }
  await scenario.call('read', { unreachableAfterMs: 300 })
  expect(scenario.asked.length).toBeGreaterThan(8)
})

test('an answer that arrives while the next endpoint is asked counts against no endpoint', async () => {
  const scenario = new Scenario('silent', 'silent', 'silent')
  scenario.onAsked = (at) => {
    if (at === 1) scenario.answer(0)
  }
  await scenario.call('read', {})
  expect(scenario.asked).toEqual([0, 1])
  expect(scenario.endpoints.all[1]?.allows(performance.now())).toBe(true)
})

test('a node answered the first question, and then there was no time: it was reached', async () => {
  const node = await fake()
  const now = performance.now.bind(performance)
  let skippedMs = 0
  vi.spyOn(performance, 'now').mockImplementation(() => now() + skippedMs)
  node.questionFault = () => {
    skippedMs += 4_999
    return undefined
  }
  const kv = clientOf([node], { timeoutMs: 5_000 })
  expect(await failure(kv.put('a', '1'))).toMatchObject({ code: 'timeout', written: 'no' })
  expect(node.asked).toEqual([])
})
