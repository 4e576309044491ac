// A call with endpoints that follow a script, in virtual time, without sockets. Needs vitest's fake timers for
// `performance`, `setTimeout` and `clearTimeout`.

import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { vi } from 'vitest'
import { type Call, type CallContext, perform } from '../../src/client/call.ts'
import { type Endpoint, Endpoints } from '../../src/client/endpoints.ts'
import { after } from '../../src/client/timer.ts'
import type { Answer, Exchanged, HttpRequest } from '../../src/client/transport/http-transport.ts'

/** The result of a request. */
export interface Fate {
  readonly afterMs?: number
  /** undefined: the node stays silent. */
  readonly result?: Exchanged
  /** Whether there is a connection meanwhile; by default there is. */
  readonly isConnected?: () => boolean
  /** Pieces of the answer keep arriving until then, counted from the time of the request. */
  readonly heardUntilMs?: number
  /** The result when it is given up, instead of a failure; null: none at all. */
  readonly whenCancelled?: Exchanged | null
}

export interface Asked {
  /** Number of the endpoint, from 0. */
  readonly at: number
  /** Time since the call began. */
  readonly ms: number
  readonly outgoing: HttpRequest
  readonly timeoutMs: number
}

export interface Outcome {
  readonly answer?: Answer
  readonly error?: unknown
  /** How long the call took. */
  readonly ms: number
}

/** Advances the virtual time until this has ended. */
export async function inVirtualTime<T>(running: Promise<T>): Promise<T> {
  let hasEnded = false
  const note = () => {
    hasEnded = true
  }
  running.then(note, note)
  for (let turn = 0; turn < 2_000; turn++) {
    // Everything that happens now must happen before the time advances.
    for (let look = 0; look < 4; look++) await nextTurn()
    if (hasEnded) return running
    await vi.advanceTimersToNextTimerAsync()
  }
  throw new Error('the call does not end')
}

export class Scenario {
  readonly endpoints: Endpoints
  readonly asked: Asked[] = []
  readonly cancelled: number[] = []
  failures = 0
  mayHedge = () => true
  close = () => {}
  onAnswer: CallContext['onAnswer'] = () => undefined
  /** Number of listeners of the call; 0 when it has ended. */
  listeners = 0
  readonly #fate: (at: number, nth: number) => Fate

  /**
   * The endpoints are asked in order. `fate` gives the result of the `nth` request of all, from 0, to endpoint `at`.
   */
  constructor(count: number, fate: (at: number, nth: number) => Fate) {
    const urls = Array.from({ length: count }, (_, at) => `http://127.0.0.1:${at + 1}`)
    this.endpoints = new Endpoints(urls, () => 0)
    this.#fate = fate
  }

  /** Runs a call to its end: by default a read with a time-out of one second. */
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
    await inVirtualTime(running).catch(() => {})
    if (outcome === undefined) throw new Error('the call has no outcome')
    return outcome
  }

  #exchange(startedAt: number, { port }: Endpoint, outgoing: HttpRequest, options: { timeoutMs: number }) {
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

/** A system error as node:http reports it. */
export const systemError = (code: string, message = code): Error =>
  Object.assign(new Error(message), { code })

export const answered = (status: number, body: unknown, headers: Record<string, string> = {}): Exchanged => ({
  kind: 'answered',
  status,
  headers,
  body: Buffer.from(JSON.stringify(body)),
})

/** It names its cluster, as every node's answer does. */
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
