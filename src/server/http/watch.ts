// GET /v1/watch: the changes of a key or a range, as server-sent events or lines of JSON, until one side ends it.

import type { ServerResponse } from 'node:http'
import type { Revision } from '../../operations/forms/index.ts'
import { encodeWatchHead, type WatchRequest } from '../../operations/watch.ts'
import type { WatchAnswer } from '../api/answer.ts'
import { type OutboundBudget, writeChunked } from '../api/budget.ts'
import { errorOfWatch, WatchBuffer, type WatchBuffers } from '../api/watch.ts'
import type { HttpRequest, HttpResponse } from '../connections/messages.ts'
import type { EventsMessage, WatchEnd, WatchHandle, WatchSink } from '../node/watch/index.ts'
import { type WatchForm, watchForm } from './watch-json.ts'

/** The memory of answers and of watches, which all clients share. */
interface WatchBudgets {
  readonly outbound: OutboundBudget
  readonly watchBuffers: WatchBuffers
}

/** Opens the receiver of the watch that `request` was decoded to. */
export function openWatch(
  request: HttpRequest,
  { request: { from, time } }: WatchRequest,
  budgets: WatchBudgets,
): void {
  const form = watchForm(request.headers, time)
  request.openSink = () => new WatchStream(form, budgets, from)
}

export function watchResponse(
  { watch, sink, head }: WatchAnswer,
  { method, headers }: HttpRequest,
): HttpResponse {
  const { revision } = head
  const response = encodeWatchHead(headers, head)
  if (method !== 'HEAD' && sink instanceof WatchStream)
    return { ...response, body: { stream: (to) => sink.begin(to, watch, revision) } }
  watch.cancel()
  return { ...response, body: { stream() {} } }
}

/** The response of a watch. Messages of one turn of the event loop are written together. */
export class WatchStream implements WatchSink {
  readonly form: WatchForm
  readonly #budget: OutboundBudget
  readonly #buffer: WatchBuffer
  /** The last revision before the first one that the client has requested. */
  readonly #before: number
  #to: ServerResponse | undefined
  #watch: WatchHandle | undefined
  #ready: Uint8Array[] = []
  #flushesSoon = false
  #isWriting = false
  /** The last message is ready. */
  #ends = false

  constructor(form: WatchForm, { outbound, watchBuffers }: WatchBudgets, from: Revision | undefined) {
    this.form = form
    this.#budget = outbound
    this.#buffer = new WatchBuffer(watchBuffers)
    this.#before = (from ?? 1) - 1
  }

  get isFull(): boolean {
    return this.#buffer.isFull()
  }

  get takesProgressOnly(): boolean {
    return this.#buffer.takesProgressOnly
  }

  /** Without `to` the client is gone. */
  begin(to: ServerResponse | undefined, watch: WatchHandle, revision: Revision): void {
    if (to === undefined) {
      watch.cancel()
      return
    }
    this.#to = to
    this.#watch = watch
    // A client that closes its side still receives its answers, but this one has no end.
    const { socket } = to
    const leave = (): void => void to.destroy()
    socket?.once('end', leave)
    to.once('close', () => {
      socket?.off('end', leave)
      this.#forget()
    })
    if (socket?.readableEnded) leave()
    this.#ready.unshift(this.#countBytes(this.form.created(revision, watch.from - 1)))
    this.#flush()
  }

  events(message: EventsMessage): void {
    this.#write(message.in(this.form))
  }

  waits(): void {
    this.#buffer.wait(this)
  }

  drained(): void {
    this.#watch?.drained()
  }

  progress(upTo: Revision): void {
    this.#write(this.form.progress(upTo, this.#before))
  }

  ended(end: WatchEnd): void {
    this.#ends = true
    this.#write(this.form.error(errorOfWatch(end)))
  }

  #write(bytes: Uint8Array): void {
    this.#ready.push(this.#countBytes(bytes))
    if (this.#flushesSoon || this.#isWriting) return
    this.#flushesSoon = true
    setImmediate(() => this.#flush())
  }

  #countBytes(bytes: Uint8Array): Uint8Array {
    this.#buffer.add(bytes.length)
    return bytes
  }

  #flush(): void {
    this.#flushesSoon = false
    const to = this.#to
    const [first] = this.#ready
    if (to === undefined || this.#isWriting || first === undefined) return
    const whole = this.#ready.length === 1 ? first : Buffer.concat(this.#ready)
    this.#ready = []
    this.#isWriting = true
    writeChunked(to, [whole], this.#budget, (isSent) => {
      this.#isWriting = false
      if (isSent) this.#noteSent(whole.length)
    })
  }

  /** The kernel has taken this many bytes. */
  #noteSent(bytes: number): void {
    if (this.#to === undefined) return
    this.#buffer.remove(bytes)
    if (this.#ready.length > 0) this.#flush()
    else if (this.#ends) this.#to.end()
    else this.#buffer.resume()
  }

  #forget(): void {
    this.#watch?.cancel()
    this.#to = undefined
    this.#ready = []
    this.#buffer.close()
  }
}
