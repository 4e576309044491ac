// A cluster on the virtual clock of the test: timers fire one after another without real waiting. Clients, API and
// state machine are the real ones; the network between them only takes time. While the cluster is down, requests wait
// until it is up again or their time is over. A test adds other faults to a client (with-call.ts, unsure-client.ts).
//
// Everything random (the time of each message, backoff, write ids) follows from the seed of the test, and nothing from
// real time. So a test sends the same requests at the same virtual times in each run.

import { randomInt } from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import os from 'node:os'
import { afterAll, aroundEach, expect, vi } from 'vitest'
import { isWatch, simulatedRequest } from '../../jepsen-lite/simulation/network/client-network.ts'
import { ClientStream } from '../../jepsen-lite/simulation/network/client-stream.ts'
import { InMemoryApi, type SimulatedRequest } from '../../jepsen-lite/simulation/network/in-memory-api.ts'
import { Random } from '../../jepsen-lite/workload/random.ts'
import { whenAborted } from '../../src/client/abort-listeners.ts'
import { Client } from '../../src/client/index.ts'
import { replaceRandomness } from './random-globals.ts'
// Loaded before a call needs them: time would pass meanwhile.
import '../../src/client/lease-sessions.ts'
import '../../src/client/transact.ts'
import type { OperationRequest } from '../../src/client/client-operation.ts'
import { after } from '../../src/client/timer.ts'
import type { HttpOutcome } from '../../src/client/transport/http-transport.ts'
import type { SendOptions, Transport } from '../../src/client/transport/transport.ts'
import { decodeAnswer } from '../../src/operations/http/answers.ts'
import type { WatchRequest } from '../../src/operations/watch.ts'
import type { MonotonicMs } from '../../src/raft/types.ts'
import type { Clock, Timer } from '../../src/server/node/clock.ts'
import type { WatchHandle } from '../../src/server/node/watch/index.ts'
import { FakeNode } from '../server/http/fake-node.ts'

/** Limits on the time of one way between client and store. Messages differ, so that clients do not act in step. */
const [WAY_MS_MIN, WAY_MS_MAX] = [1, 9]
const ELECTION_MS = 1_500
/** Virtual time after which a test has failed. */
const TEST_MS_MAX = 300_000
/** Virtual time after which what a test polls for has not come, and the pause between two checks. */
const [POLL_MS_MAX, POLL_PAUSE_MS] = [60_000, 10]
/** Requests that a failure shows. */
const SHOWN_MAX = 20
/** Turns of the event loop for which time stands still while others are due. A test may wait by turns, too. */
const TURNS_MAX = 16
/** Requests that nodes execute now: time stands still meanwhile. */
let served = 0
/** Randomness of the test that runs. */
let random = new Random(0)
/** Virtual time at which that test has failed. */
let failAt = Number.POSITIVE_INFINITY
/** For how long the machine was suspended. */
let suspendedMs = 0
const openClusters = new Set<VirtualCluster>()
/** Requests without a whole answer, and watches, oldest first. */
const openRequests = new Map<Exchange, SentRequest>()

interface SentRequest {
  readonly what: string
  readonly sentAt: number
}

/**
 * Seeds all that is drawn in a test, or in one run of a property. Without a seed it draws one, which failures of the
 * test show: passed here, it repeats the test.
 */
export function seedTest(seed = randomInt(2 ** 31)): number {
  beginTest(new Random(seed))
  return seed
}

function beginTest(drawnFrom: Random): void {
  random = drawnFrom
  failAt = performance.now() + TEST_MS_MAX
}

/** The clock of the nodes, by the globals that `virtualCluster` replaces. */
class NodeClock implements Clock {
  /** Its timers, which belong to no client. */
  readonly timers = new Set<NodeJS.Timeout>()

  now(): MonotonicMs {
    return performance.now()
  }

  after(delayMs: number, run: () => void): Timer {
    const timer = setTimeout(() => {
      this.timers.delete(timer)
      run()
    }, delayMs)
    this.timers.add(timer)
    const cancel = () => {
      this.timers.delete(timer)
      clearTimeout(timer)
    }
    return { cancel }
  }

  soon(run: () => void): void {
    setImmediate(run)
  }
}

const nodeClock = new NodeClock()

/** Timers of clients and of the test. */
export const timerCount = (): number => vi.getTimerCount() - nodeClock.timers.size

export class VirtualCluster {
  readonly #node = new FakeNode({}, {}, nodeClock)
  readonly #api = new InMemoryApi(this.#node)
  readonly #stopLeases = this.#node.keepLeases()
  readonly #clients: Client[] = []
  /** Messages that wait for the end of the outage. */
  readonly #waiting: (() => void)[] = []
  /** Silences the open stream of a watch. */
  readonly #streams = new Set<() => void>()
  #isDown = false
  /** Called with each request that a client sends. */
  onRequest = (_: SimulatedRequest): void => {}

  constructor() {
    openClusters.add(this)
    this.#node.leaderName = this.#node.name
    // Tests of a few seconds have leases that end.
    this.#node.leaseTtlMsMin = 1
  }

  /** During an outage calls wait. */
  get isDown(): boolean {
    return this.#isDown
  }

  set isDown(isDown: boolean) {
    this.#isDown = isDown
    if (!isDown) for (const run of this.#waiting.splice(0)) run()
  }

  /** One node, whose crash is an outage. */
  readonly nodes = [
    {
      name: 'n1',
      running: true,
      stop: async () => {
        this.isDown = true
      },
      crash: async () => {
        this.isDown = true
      },
      start: async () => {
        this.isDown = false
      },
    },
  ]

  /** The leader whose crash is an outage of the store until its successor is elected. */
  async waitForLeader() {
    return {
      crash: async () => {
        this.isDown = true
        setTimeout(() => {
          this.isDown = false
        }, ELECTION_MS)
      },
      start: async () => {},
    }
  }

  /** The connections of all open watches carry nothing from now on, and do not end. New ones work. */
  silenceStreams(): void {
    for (const silence of this.#streams) silence()
  }

  /** Watches of all clients. */
  get openWatches(): number {
    return this.#node.watches.counts().open
  }

  client({ timeoutMs = 30_000 }: { readonly timeoutMs?: number } = {}): Client {
    const options = {
      endpoints: ['http://127.0.0.1:4001'],
      discover: false,
      transport: 'http',
      timeoutMs,
    } as const
    const client = new Client(options, this.#transport())
    this.#clients.push(client)
    return client
  }

  async close(): Promise<void> {
    openClusters.delete(this)
    for (const client of this.#clients) await client.close()
    this.#stopLeases()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Runs it after the time of one way, and after the outage. */
  #afterWay(run: () => void, wayMs = drawWayMs()): void {
    const arrive = () => void (this.#isDown ? this.#waiting.push(arrive) : run())
    setTimeout(arrive, wayMs)
  }

  #transport(): Transport {
    const pending = new Set<Exchange>()
    const begin = (request: OperationRequest, sent: SimulatedRequest, options: SendOptions): Exchange => {
      const exchange = new Exchange(options, ({ kind }) => {
        pending.delete(exchange)
        if (kind !== 'streaming') openRequests.delete(exchange)
      })
      pending.add(exchange)
      openRequests.set(exchange, { what: `${sent.method} ${sent.target}`, sentAt: performance.now() })
      this.onRequest(sent)
      this.#afterWay(() => {
        if (exchange.isOver) return
        exchange.hasArrived = true
        served++
        if (isWatch(request)) this.#watch(request, exchange, options)
        else
          this.#api.serve(
            sent,
            () => exchange.isOver,
            (answered) => {
              served--
              this.#afterWay(() => exchange.settle({ kind: 'answered', ...answered }))
            },
          )
      })
      return exchange
    }
    return {
      async send(_, operation, request, options) {
        options.seal?.()
        const sent = simulatedRequest(operation.http.encode(request), request, options)
        const outcome = await begin(request, sent, options).outcome
        return outcome.kind === 'answered' ? decodeAnswer(operation, request, outcome) : outcome
      },
      get inFlight() {
        return pending.size
      },
      close() {
        for (const exchange of pending) exchange.fail('the client was closed', false)
      },
    }
  }

  /** A watch that has begun lasts through an outage. */
  #watch({ request }: WatchRequest, exchange: Exchange, options: SendOptions): void {
    const { timeoutMs, streamSilenceMs = timeoutMs } = options
    let watch: WatchHandle | undefined
    let isSilent = false
    const silence = () => {
      isSilent = true
    }
    this.#streams.add(silence)
    const stream = new ClientStream({
      values: request.values,
      silentMs: streamSilenceMs,
      send: (line, isLast) => {
        // Messages of one stream arrive in order.
        stream.readyAt = Math.max(stream.readyAt, performance.now() + drawWayMs())
        const receive = () => void (isSilent || stream.received(line, isLast))
        this.#afterWay(receive, stream.readyAt - performance.now())
      },
      drained: () => watch?.drained(),
      left: () => {
        openRequests.delete(exchange)
        this.#streams.delete(silence)
        watch?.cancel()
      },
    })
    this.#api.watch(request, timeoutMs, stream, (begun) => {
      served--
      if ('status' in begun) {
        this.#afterWay(() => exchange.settle({ kind: 'answered', ...begun }))
        return
      }
      watch = begun.watch
      stream.created(begun.revision, watch.from - 1)
      const head = { clusterId: this.#node.clusterId, node: this.#node.name }
      this.#afterWay(() => {
        if (exchange.isOver) stream.destroy()
        else exchange.settle({ kind: 'streaming', head, stream })
      })
    })
  }
}

/** A request, on a connection that the node has accepted, whose answer its client has not received. */
class Exchange {
  readonly outcome: Promise<HttpOutcome>
  /** Whether the node has the request. */
  hasArrived = false
  isOver = false
  readonly #resolve: (outcome: HttpOutcome) => void
  readonly #stops: readonly (() => void)[]
  readonly #ended: (outcome: HttpOutcome) => void

  constructor(
    { timeoutMs, silenceMs = timeoutMs, signal }: SendOptions,
    ended: (outcome: HttpOutcome) => void,
  ) {
    const { promise, resolve } = Promise.withResolvers<HttpOutcome>()
    this.outcome = promise
    this.#resolve = resolve
    this.#ended = ended
    this.#stops = [
      after(Math.min(timeoutMs, silenceMs), () => this.fail('no answer', true)),
      whenAborted(signal, () => this.fail('given up', false)),
    ]
  }

  settle(outcome: HttpOutcome): void {
    if (this.isOver) return
    this.isOver = true
    for (const stop of this.#stops) stop()
    this.#ended(outcome)
    this.#resolve(outcome)
  }

  fail(why: string, timedOut: boolean): void {
    const cause = new Error(why)
    if (this.hasArrived) this.settle({ kind: 'maybe-applied', cause, timedOut })
    else this.settle({ kind: 'not-sent', cause, reached: true, timedOut })
  }
}

/** A pause in virtual time. */
export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** The machine is suspended for so long: no timer runs, and `performance.now()` stands still. */
export function suspend(ms: number): void {
  suspendedMs += ms
}

/** Checks that no key is left below the prefixes, and waits until no lease is. */
export async function nothingLeft(kv: Client, prefixes: readonly string[]): Promise<void> {
  for (const prefix of prefixes) expect(await kv.count({ prefix })).toBe(0)
  // A lease whose grant had no response may be left: it expires.
  await expect.poll(async () => (await kv.leases().next()).done).toBe(true)
}

/** Makes timers and randomness virtual for the whole file, and returns a cluster on them. */
export function virtualCluster(): VirtualCluster {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  const restore = [replaceRandomness(() => random), replaceUptime(), replacePoll()]
  const limit = limitTests()
  let isRunning = true
  let turns = 0
  // vitest's own tick mode waits a real millisecond before each timer.
  const tick = () => {
    if (!isRunning) return
    const isBusy = process.getActiveResourcesInfo().includes('Immediate') && turns++ < TURNS_MAX
    if (isBusy || served > 0) {
      setImmediate(tick)
      return
    }
    turns = 0
    vi.advanceTimersToNextTimer()
    limit.check()
    setImmediate(tick)
  }
  tick()
  const cluster = new VirtualCluster()
  afterAll(async () => {
    await cluster.close()
    isRunning = false
    vi.useRealTimers()
    for (const run of restore) run()
  })
  return cluster
}

const drawWayMs = (): number => random.int(WAY_MS_MIN, WAY_MS_MAX + 1)

/**
 * Each test draws by its name. `check` fails the test that runs when its time is over. What it has begun would never
 * end, and would slow the tests after it down, so all clients are closed.
 */
function limitTests(): { check(): void } {
  let fail = (_: Error): void => {}
  aroundEach(async (runTest, { task }) => {
    const { promise, reject } = Promise.withResolvers<never>()
    fail = reject
    beginTest(new Random(task.name))
    try {
      await Promise.race([runTest(), promise])
    } finally {
      failAt = Number.POSITIVE_INFINITY
    }
  })
  return {
    check() {
      if (performance.now() < failAt) return
      const what = showOpenRequests()
      fail(new Error(`not done after ${TEST_MS_MAX} ms of virtual time, with open requests: ${what}`))
      failAt = Number.POSITIVE_INFINITY
      for (const cluster of openClusters) void cluster.close()
    },
  }
}

function showOpenRequests(): string {
  const shown = [...openRequests.values()].map(
    ({ what, sentAt }) => `${what} for ${performance.now() - sentAt} ms`,
  )
  return shown.slice(0, SHOWN_MAX).join('; ') || 'none'
}

/** `os.uptime()` is the virtual clock, and also counts the time for which the machine was suspended. */
function replaceUptime(): () => void {
  const { uptime } = os
  const replace = (by: typeof uptime) => {
    os.uptime = by
    syncBuiltinESMExports()
  }
  replace(() => (performance.now() + suspendedMs) / 1_000)
  return () => replace(uptime)
}

/** `expect.poll` pauses by the virtual clock: it makes the same number of checks in each run. */
function replacePoll(): () => void {
  const { poll } = expect
  const virtualPoll = (read: () => unknown) => {
    const check = async (matcher: PropertyKey, args: readonly unknown[]) => {
      const assertion = expect(await read())
      await Reflect.apply(Reflect.get(assertion, matcher), assertion, args)
    }
    const until = async (matcher: PropertyKey, args: readonly unknown[]) => {
      const failAt = performance.now() + POLL_MS_MAX
      for (;;) {
        try {
          return await check(matcher, args)
        } catch (error) {
          if (performance.now() >= failAt)
            throw new Error(`not so within ${POLL_MS_MAX} ms of virtual time: ${error}`, { cause: error })
        }
        await sleep(POLL_PAUSE_MS)
      }
    }
    const get =
      (_: object, matcher: PropertyKey) =>
      (...args: readonly unknown[]) =>
        until(matcher, args)
    return new Proxy({}, { get })
  }
  Object.assign(expect, { poll: virtualPoll })
  return () => void Object.assign(expect, { poll })
}
