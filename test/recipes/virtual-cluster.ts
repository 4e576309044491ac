// A cluster on the virtual clock of the test: timers fire one after another without real waiting. Clients, API and
// state machine are the real ones; the network between them only takes time. While the cluster is down, requests wait
// until it is up again or their time is over. A test adds other faults to a client (with-call.ts, unsure-client.ts).

import { syncBuiltinESMExports } from 'node:module'
import os from 'node:os'
import { afterAll, expect, onTestFinished, vi } from 'vitest'
import { InMemoryApi, type SimulatedRequest } from '../../jepsen-lite/recipes/in-memory-api.ts'
import { ClientStream, isWatch, simulatedRequest } from '../../jepsen-lite/recipes/network.ts'
import { whenAborted } from '../../src/client/abort-listeners.ts'
import { Client } from '../../src/client/index.ts'
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

/** Time of one way between client and store. */
const WAY_MS = 1
const ELECTION_MS = 1_500
/** Turns of the event loop for which time stands still while others are due. A test may wait by turns, too. */
const TURNS_MAX = 16
/** Requests that nodes execute now: time stands still meanwhile. */
let served = 0

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
  #isDown = false

  constructor() {
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
    for (const client of this.#clients) await client.close()
    this.#stopLeases()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Runs it after the time of one way, and after the outage. */
  #afterWay(run: () => void): void {
    const arrive = () => void (this.#isDown ? this.#waiting.push(arrive) : run())
    setTimeout(arrive, WAY_MS)
  }

  #transport(): Transport {
    const pending = new Set<Exchange>()
    const begin = (request: OperationRequest, sent: SimulatedRequest, options: SendOptions): Exchange => {
      const exchange = new Exchange(options, () => pending.delete(exchange))
      pending.add(exchange)
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
    // Messages that are sent in one turn arrive in order.
    const stream = new ClientStream({
      values: request.values,
      silentMs: streamSilenceMs,
      send: (line, isLast) => this.#afterWay(() => stream.received(line, isLast)),
      drained: () => watch?.drained(),
      left: () => watch?.cancel(),
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
  readonly #ended: () => void

  constructor({ timeoutMs, silenceMs = timeoutMs, signal }: SendOptions, ended: () => void) {
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
    this.#ended()
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
  const uptime = vi.spyOn(os, 'uptime').mockReturnValue(os.uptime() + ms / 1_000)
  syncBuiltinESMExports()
  onTestFinished(() => {
    uptime.mockRestore()
    syncBuiltinESMExports()
  })
}

/** Checks that no key is left below the prefixes, and waits until no lease is. */
export async function nothingLeft(kv: Client, prefixes: readonly string[]): Promise<void> {
  for (const prefix of prefixes) expect(await kv.count({ prefix })).toBe(0)
  // A lease whose grant had no response may be left: it expires.
  while ((await kv.leases().next()).done !== true) await sleep(50)
}

/** Makes timers virtual for the whole file, and returns a cluster on them. */
export function virtualCluster(): VirtualCluster {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
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
    setImmediate(tick)
  }
  tick()
  const cluster = new VirtualCluster()
  afterAll(async () => {
    await cluster.close()
    isRunning = false
    vi.useRealTimers()
  })
  return cluster
}
