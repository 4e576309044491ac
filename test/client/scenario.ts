// A call of endpoints that do as a script says: in virtual time, without sockets. Needs the fake timers of vitest for
// `performance`, `setTimeout` and `clearTimeout`.

import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { vi } from 'vitest'
import { type Answer, type Call, type CallContext, perform } from '../../src/client/call.ts'
import { type Endpoint, Endpoints } from '../../src/client/endpoints.ts'
import type { Exchanged, Outgoing } from '../../src/client/exchange.ts'
import { after } from '../../src/client/timer.ts'

/** What becomes of a request. */
export interface Fate {
  readonly afterMs?: number
  /** None: it keeps silent. */
  readonly result?: Exchanged
  /** Whether a connection stands meanwhile: it does unless said otherwise. */
  readonly isConnected?: () => boolean
  /** Pieces of the answer come all the time until then, counted from when it was asked for. */
  readonly heardUntilMs?: number
  /** What comes of it when it is given up, instead of a failure; null: nothing at all. */
  readonly whenCancelled?: Exchanged | null
}

export interface Asked {
  /** Number of the endpoint, from 0. */
  readonly at: number
  /** Since the call began. */
  readonly ms: number
  readonly outgoing: Outgoing
  readonly timeoutMs: number
}

export interface Outcome {
  readonly answer?: Answer
  readonly error?: unknown
  /** How long the call took. */
  readonly ms: number
}

export class Scenario {
  readonly endpoints: Endpoints
  readonly asked: Asked[] = []
  readonly cancelled: number[] = []
  failures = 0
  mayHedge = () => true
  close = () => {}
  onAnswer: CallContext['onAnswer'] = () => undefined
  /** Where something of the call is listened for: none when it has ended. */
  listeners = 0
  readonly #fate: (at: number, nth: number) => Fate

  /** Asked in their order; `fate` says what becomes of the request to endpoint `at`, the `nth` of all from 0. */
  constructor(count: number, fate: (at: number, nth: number) => Fate) {
    const urls = Array.from({ length: count }, (_, at) => `http://127.0.0.1:${at + 1}`)
    this.endpoints = new Endpoints(urls, () => 0)
    this.#fate = fate
  }

  /** Runs a call to its end: a read that has a second, unless `given` says otherwise. */
  async run(given: Partial<Call> = {}): Promise<Outcome> {
    const startedAt = performance.now()
    const timeoutMs = given.timeoutMs ?? 1_000
    const call: Call = {
      ...{ kind: 'read', method: 'GET', path: '/', headers: {}, body: undefined, stream: false },
      ...{ startedAt, timeoutMs, unreachableAfterMs: timeoutMs, signal: undefined },
      ...given,
    }
    let outcome: Outcome | undefined
    const ms = () => performance.now() - startedAt
    const running = perform(call, {
      endpoints: this.endpoints,
      transport: { exchange: (...args) => this.#exchange(startedAt, ...args) },
      onAnswer: (answer) => this.onAnswer(answer),
      onFailure: () => void this.failures++,
      mayHedge: () => this.mayHedge(),
      onClose: (end) => {
        this.close = end
        this.listeners += 1
        return () => {
          this.listeners -= 1
        }
      },
    })
    void running.then(
      (answer) => (outcome = { answer, ms: ms() }),
      (error: unknown) => (outcome = { error, ms: ms() }),
    )
    for (let turn = 0; turn < 2_000; turn++) {
      // Before time passes, all has happened that happens now.
      for (let look = 0; look < 4; look++) await nextTurn()
      if (outcome !== undefined) return outcome
      await vi.advanceTimersToNextTimerAsync()
    }
    throw new Error('the call does not end')
  }

  #exchange(startedAt: number, { port }: Endpoint, outgoing: Outgoing, options: { timeoutMs: number }) {
    const at = port - 1
    const fate = this.#fate(at, this.asked.length)
    const { result, isConnected = () => true } = fate
    const { timeoutMs } = options
    this.asked.push({ at, ms: performance.now() - startedAt, outgoing, timeoutMs })
    const { promise, resolve } = Promise.withResolvers<Exchanged>()
    const stops: (() => void)[] = []
    const settle = (exchanged: Exchanged) => {
      for (const stop of stops) stop()
      resolve(exchanged)
    }
    if (result !== undefined && fate.afterMs === undefined) resolve(result)
    else if (result !== undefined) stops.push(after(fate.afterMs ?? 0, () => settle(result)))
    else
      stops.push(
        after(timeoutMs, () => settle({ ...failed(isConnected(), new Error('late')), timedOut: true })),
      )
    const cancel = (reason = 'given up') => {
      const { whenCancelled = failed(isConnected(), new Error(reason)) } = fate
      this.cancelled.push(at)
      if (whenCancelled !== null) setImmediate(() => settle(whenCancelled))
    }
    const askedAt = performance.now()
    const heardAt = () => Math.min(performance.now(), askedAt + (fate.heardUntilMs ?? 0))
    return { result: promise, isConnected, heardAt, lookupMs: () => 0, cancel }
  }
}

export const failed = (connected: boolean, cause: Error) =>
  ({ kind: 'failed', connected, timedOut: false, cause }) as const

/** An error of the system, as node:http gives it. */
export const systemError = (code: string, message = code): Error =>
  Object.assign(new Error(message), { code })

export const answered = (status: number, body: unknown, headers: Record<string, string> = {}): Exchanged => ({
  kind: 'answered',
  status,
  headers,
  body: Buffer.from(JSON.stringify(body)),
})

/** Named as every node does. */
export const OK = answered(200, {}, { 'kv-cluster': '77' })

export const refusal = (
  status: number,
  code: string,
  more: { readonly detail?: string; readonly retry_after_ms?: number; readonly current?: null } = {},
  headers: Record<string, string> = {},
): Exchanged => answered(status, { code, ...more }, headers)

/** An answer that begins, and its stream. */
export function streaming(): { readonly result: Exchanged; readonly stream: IncomingMessage } {
  const stream = new IncomingMessage(new Socket())
  return { result: { kind: 'streaming', headers: { 'kv-cluster': '77' }, stream }, stream }
}
