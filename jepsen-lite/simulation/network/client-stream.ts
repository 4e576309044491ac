// A watch of a simulated client: what its node sends, and what its client receives.

import { afterPendingEvents } from '../../../src/client/timer.ts'
import type { WatchMessages } from '../../../src/client/transport/transport.ts'
import { asRevision } from '../../../src/operations/forms/index.ts'
import { type DecodedWatchMessage, decodeWatchLine } from '../../../src/operations/watch.ts'
import { errorOfWatch } from '../../../src/server/api/watch.ts'
import { NDJSON } from '../../../src/server/http/watch-json.ts'
import type { EventsMessage, WatchEnd, WatchSink } from '../../../src/server/node/watch/index.ts'

/** Messages of a watch that may wait for its client. */
const WAITING_MAX = 20

interface StreamOptions {
  /** Whether the records of its events have values. */
  readonly values: boolean
  /** How long its node may be silent. */
  readonly silentMs: number
  /** Sends a line to the client. */
  send(line: Uint8Array | undefined, isLast: boolean): void
  /** The client has taken what waited for it. */
  drained(): void
  /** The client has closed it. */
  left(): void
}

/** One watch: the end at its node, and the end at its client. */
export class ClientStream implements WatchSink, WatchMessages {
  /** When the last message arrives. */
  readyAt = 0
  readonly #options: StreamOptions
  readonly #received: DecodedWatchMessage[] = []
  /** Sent, and not taken by the client. */
  #untaken = 0
  #waits = false
  #isOver = false
  #end: Error | undefined
  #wake = (): void => {}

  constructor(options: StreamOptions) {
    this.#options = options
  }

  // ---- at its node

  get isFull(): boolean {
    return this.#untaken >= WAITING_MAX
  }

  created(revision: number, upTo: number): void {
    this.#send(NDJSON.created(asRevision(revision), upTo))
  }

  waits(): void {
    this.#waits = true
  }

  events(message: EventsMessage): void {
    this.#send(message.in(NDJSON))
  }

  progress(revision: Parameters<WatchSink['progress']>[0]): void {
    this.#send(NDJSON.progress(revision, revision))
  }

  ended(end: WatchEnd): void {
    this.#send(NDJSON.error(errorOfWatch(end)), true)
  }

  reset(): void {
    this.#options.send(undefined, true)
  }

  #send(line: Uint8Array, isLast = false): void {
    if (this.#isOver) return
    this.#untaken++
    this.#options.send(line, isLast)
  }

  // ---- at its client

  received(line: Uint8Array | undefined, isLast: boolean): void {
    const message = line && decodeWatchLine(line, this.#options.values)
    if (message !== undefined) this.#received.push(message)
    if (isLast) this.#end ??= new Error('the connection was cut')
    this.#wake()
  }

  async *messages(): AsyncGenerator<DecodedWatchMessage, void, undefined> {
    for (;;) {
      const message = this.#received.shift()
      if (message !== undefined) {
        this.#taken()
        yield message
        continue
      }
      if (this.#end !== undefined) throw this.#end
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#wake = resolve
      const silent = (): void => {
        this.#end ??= new Error('it has reported nothing for too long')
        resolve()
      }
      // Watches that are open count by themselves.
      const stop = afterPendingEvents(this.#options.silentMs, silent, { unref: true })
      await promise
      stop()
    }
  }

  destroy(): void {
    this.#end ??= new Error('it was closed')
    this.abandon()
    this.#wake()
  }

  /** Its client runs no more. */
  abandon(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#options.left()
  }

  #taken(): void {
    this.#untaken--
    if (this.#untaken > 0 || !this.#waits) return
    this.#waits = false
    this.#options.drained()
  }
}
