// A client over a transport that follows a script, in virtual time and without sockets. Needs vitest's fake timers for
// `performance`, `setTimeout` and `clearTimeout`.

import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { vi } from 'vitest'
import type { ClientOperation, OperationRequest } from '../../src/client/client-operation.ts'
import type { Endpoint } from '../../src/client/endpoints.ts'
import { Client, type ClientOptions, QuorateError } from '../../src/client/index.ts'
import { after } from '../../src/client/timer.ts'
import type { HttpOutcome } from '../../src/client/transport/http-transport.ts'
import type { SendOptions, SendOutcome, Transport } from '../../src/client/transport/transport.ts'
import type { Idempotency } from '../../src/operations/forms/index.ts'
import { decodeAnswer } from '../../src/operations/http/answers.ts'
import { idempotencyHeaders } from '../../src/operations/http/idempotency.ts'

/** The outcome of a request; SILENT: none until a limit is reached. */
export type Fate =
  | HttpOutcome
  | { readonly outcome: HttpOutcome; readonly afterMs: number }
  | typeof SILENT
  | typeof OFF
export const SILENT = 'silent'
/** The connection is neither accepted nor refused. */
export const OFF = 'off'

export interface Sent {
  /** Number of the endpoint, from 0. */
  readonly at: number
  /** Time since the transport was made. */
  readonly ms: number
  readonly method: string
  readonly writeId: Idempotency | undefined
  readonly key: string | undefined
}

export class ScriptedTransport implements Transport {
  readonly sent: Sent[] = []
  inFlight = 0
  readonly #script: (at: number, nth: number) => Fate
  readonly #startedAt = performance.now()
  readonly #open = new Set<() => void>()

  constructor(script: (at: number, nth: number) => Fate) {
    this.#script = script
  }

  async send<Q extends OperationRequest, R>(
    endpoint: Endpoint,
    operation: ClientOperation<Q, R>,
    request: Q,
    options: SendOptions,
  ): Promise<SendOutcome<R>> {
    const { method } = operation.http.encode(request)
    const outcome = await this.#exchange(endpoint, method, request.idempotency, options)
    return outcome.kind === 'answered' ? decodeAnswer(operation, request, outcome) : outcome
  }

  #exchange(
    endpoint: Endpoint,
    method: string,
    writeId: Idempotency | undefined,
    options: SendOptions,
  ): Promise<HttpOutcome> {
    const { timeoutMs, silenceMs = timeoutMs, connectMs = timeoutMs, mayGiveUp, signal } = options
    const at = endpoint.port - 1
    const fate = this.#script(at, this.sent.length)
    const key = writeId === undefined ? undefined : Object.values(idempotencyHeaders(writeId))[0]
    const ms = performance.now() - this.#startedAt
    this.sent.push({ at, ms, method, writeId, key })
    this.inFlight += 1
    return new Promise((resolve) => {
      let stop = () => {}
      const settle = (outcome: HttpOutcome) => {
        stop()
        this.#open.delete(giveUp)
        signal?.removeEventListener('abort', giveUp)
        this.inFlight -= 1
        resolve(outcome)
      }
      const failed = (timedOut: boolean) => {
        const cause = new Error(timedOut ? 'late' : 'given up')
        settle(fate === OFF ? notSent(cause, timedOut) : { kind: 'maybe-applied', cause, timedOut })
      }
      const giveUp = () => failed(false)
      this.#open.add(giveUp)
      signal?.addEventListener('abort', giveUp)
      const deadline = performance.now() + timeoutMs
      let stopSilence = () => {}
      const look = () => {
        const leftMs = deadline - performance.now()
        if (leftMs > 0 && mayGiveUp?.() === false) stopSilence = after(Math.min(50, leftMs), look)
        else failed(true)
      }
      if (fate === SILENT || (fate !== OFF && 'afterMs' in fate))
        stopSilence = after(Math.min(silenceMs, timeoutMs), look)
      if (fate === SILENT) stop = () => stopSilence()
      else if (fate === OFF) stop = after(Math.min(connectMs, timeoutMs), () => failed(true))
      else if ('afterMs' in fate) {
        const stopAnswer = after(fate.afterMs, () => settle(fate.outcome))
        stop = () => {
          stopAnswer()
          stopSilence()
        }
      } else queueMicrotask(() => settle(fate))
    })
  }

  close(): void {
    for (const giveUp of [...this.#open]) giveUp()
  }
}

export function scripted(
  count: number,
  script: (at: number, nth: number) => Fate,
  options: Partial<ClientOptions> = {},
): { readonly kv: Client; readonly transport: ScriptedTransport } {
  // Round robin begins at the first endpoint.
  vi.spyOn(Math, 'random').mockReturnValueOnce(0)
  const endpoints = Array.from({ length: count }, (_, at) => `http://127.0.0.1:${at + 1}`)
  const transport = new ScriptedTransport(script)
  const kv = new Client(
    { endpoints, discover: false, transport: 'http', onWarning: () => {}, ...options },
    transport,
  )
  return { kv, transport }
}

/** Advances the virtual time until this has ended. */
export async function inVirtualTime<T>(running: Promise<T>): Promise<T> {
  let hasEnded = false
  const note = () => {
    hasEnded = true
  }
  running.then(note, note)
  for (let turn = 0; turn < 5_000; turn++) {
    for (let look = 0; look < 4; look++) await nextTurn()
    if (hasEnded) return running
    await vi.advanceTimersToNextTimerAsync()
  }
  throw new Error('the call does not end')
}

export async function errorOf(running: Promise<unknown>): Promise<QuorateError> {
  const error = await inVirtualTime(running.then(() => undefined).catch((reason: unknown) => reason))
  if (error instanceof QuorateError) return error
  throw new Error('it did not fail as expected', { cause: error })
}

export const notSent = (cause = new Error('refused'), timedOut = false): HttpOutcome => ({
  ...{ kind: 'not-sent', cause, reached: false, timedOut },
})
export const CUT: HttpOutcome = { kind: 'maybe-applied', cause: new Error('cut'), timedOut: false }

export const answered = (status: number, body: unknown, cluster: string | undefined = '77'): HttpOutcome => ({
  kind: 'answered',
  status,
  headers: cluster === '' ? {} : { 'kv-cluster': cluster, 'kv-node': 'n1', 'kv-revision': '9' },
  body: Buffer.from(JSON.stringify(body)),
})

/** Serves a put, and a change of members. */
export const DONE = answered(200, {
  revision: 9,
  create_revision: 9,
  mod_revision: 9,
  version: 1,
  ...{ cluster_id: '77', leader: null, term: 3, joint: false, members: [] },
})
export const RECORD = answered(200, { key: 'k', value: 'v', create_revision: 3, mod_revision: 3, version: 1 })
export const refusal = (status: number, code: string, more: object = {}): HttpOutcome =>
  answered(status, { code, detail: code, ...more })

/** An answer that begins, and its stream. */
export function streaming(): { readonly result: HttpOutcome; readonly stream: IncomingMessage } {
  const stream = new IncomingMessage(new Socket())
  return { result: { kind: 'streaming', head: { clusterId: '77', node: 'n1' }, stream }, stream }
}
