// A watch on a multiplexed connection: first a try of a call, then a stream of what the node tells. All watches of a
// connection share its socket, which is always read. So what comes here is handed on at once. A watch whose application
// takes too little is cancelled, and asked for again when there is room (watch.ts).

import { type Asked, type AskedConnection, QUEUED } from '../asked.ts'
import { disagree, isObject, type Json } from '../decode.ts'
import { UnavailableError } from '../errors.ts'
import type { WatchOperation } from '../operation.ts'
import { type Exchange, type Exchanged, SILENCE_MAX_MS, type WatchMessages } from './http-transport.ts'
import { EVENTS, exchangedOf, type MuxItem, PROGRESS, recordJson, SERVED, type Welcome } from './mux-codec.ts'

export class AskedWatch implements Asked, Exchange, WatchMessages {
  readonly operation: WatchOperation
  readonly identity = undefined
  readonly deadline: number
  dueMs: number
  id = QUEUED
  readonly result: Promise<Exchanged>
  readonly #settle: (exchanged: Exchanged) => void
  readonly #connection: AskedConnection
  readonly #url: string
  readonly #askedAt: number
  #state: 'asked' | 'begun' | 'over' = 'asked'
  /** For a moment: its reader takes everything. */
  #received: Json[] = []
  #end: { readonly error: Error } | undefined
  #wake = () => {}

  constructor(
    connection: AskedConnection,
    {
      operation,
      deadline,
      url,
    }: { readonly operation: WatchOperation; readonly deadline: number; readonly url: string },
  ) {
    this.#connection = connection
    this.#url = url
    this.operation = operation
    this.deadline = deadline
    this.#askedAt = performance.now()
    this.dueMs = Math.min(deadline, this.#askedAt + SILENCE_MAX_MS)
    const { promise, resolve } = Promise.withResolvers<Exchanged>()
    this.result = promise
    this.#settle = resolve
  }

  // -------------------------------------------------------------------------------------------------------------------
  // A try of a call

  answered(item: MuxItem, welcome: Welcome, nowMs: number): void {
    const exchanged = exchangedOf(this.operation, item, welcome)
    if (item[1] !== SERVED || exchanged.kind !== 'answered') {
      this.#state = 'over'
      this.#settle(exchanged)
      return
    }
    this.#state = 'begun'
    this.#heard(nowMs)
    this.#push({ type: 'created', revision: item[2] })
    this.#settle({ kind: 'streaming', headers: exchanged.headers, stream: this })
  }

  lost(cause: Error): void {
    if (this.#state === 'asked') this.#fail(cause, false)
    else this.#over(cause)
  }

  due(nowMs: number): void {
    if (nowMs < this.dueMs) return
    if (this.#state === 'asked') {
      this.#connection.giveUp(this)
      this.#fail(new Error('no answer'), true)
      return
    }
    this.#connection.suspect(nowMs - this.operation.silentMs)
    const message = `${this.#url} has told a watch nothing for ${this.operation.silentMs} ms`
    this.#leave(new UnavailableError(message, { code: 'timeout', written: 'no', endpoint: this.#url }))
  }

  readonly isConnected = (): boolean => this.id > 0
  readonly heardAt = (): number => Math.max(this.#askedAt, this.#connection.receivingAt)
  readonly lookupMs = (): number => 0
  readonly cancel = (reason = 'given up'): void => {
    if (this.#state !== 'asked') return
    this.#connection.giveUp(this)
    this.#fail(new Error(reason), false)
  }

  #fail(cause: Error, timedOut: boolean): void {
    this.#state = 'over'
    this.dueMs = Number.POSITIVE_INFINITY
    this.#settle({ kind: 'failed', connected: this.id > 0, accepted: true, timedOut, cause })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // A stream

  told(item: MuxItem, nowMs: number): void {
    if (this.#state !== 'begun') return
    this.#heard(nowMs)
    this.#push(messageOf(item))
  }

  /** The node has ended it. */
  ended(problem: unknown): void {
    if (this.#state !== 'begun') return
    this.#push({ ...(isObject(problem) ? problem : {}), type: 'error' })
    this.#over(new Error('the node has ended the watch'))
  }

  destroy(): void {
    this.#received = []
    this.#leave(new Error('given up'))
  }

  async *messages(): AsyncGenerator<Json, void, undefined> {
    for (;;) {
      const message = this.#received.shift()
      if (message !== undefined) yield message
      else if (this.#end !== undefined) throw this.#end.error
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    }
  }

  #push(message: Json): void {
    this.#received.push(message)
    this.#wake()
  }

  #heard(nowMs: number): void {
    this.dueMs = nowMs + this.operation.silentMs
  }

  #leave(error: Error): void {
    if (this.#state !== 'begun') return
    this.#connection.giveUp(this)
    this.#over(error)
  }

  #over(error: Error): void {
    this.#state = 'over'
    this.dueMs = Number.POSITIVE_INFINITY
    this.#end ??= { error }
    this.#wake()
  }
}

const PUT = 0

/** As over HTTP. */
function messageOf([, kind, revision, events]: MuxItem): Json {
  if (kind === PROGRESS) return { type: 'progress', revision }
  if (kind !== EVENTS || !Array.isArray(events)) return disagree('it tells a watch something unknown')
  const told = events.map((event: unknown) => {
    if (!Array.isArray(event)) return disagree('an event is not a list')
    const [type, what, ...rest] = event
    const prev = rest[type === PUT ? 0 : 1]
    const before = prev === undefined ? undefined : { prev: prev === null ? null : recordJson(prev) }
    if (type === PUT) return { type: 'put', kv: recordJson(what), ...before }
    return { type: 'delete', key: what, mod_revision: rest[0], ...before }
  })
  return { type: 'events', revision, events: told }
}
