// One stream of watches, and what each of its watches was sent.

import type { WatchRequest, WatchResponse } from '../../../src/etcd/messages/watch.ts'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { GrpcError } from '../../../src/etcd/status.ts'
import type { GrpcCallOptions, GrpcClient, GrpcStream } from '../../../src/etcd-client/grpc-client.ts'
import type { Frame, Json, JsonObject } from './frame.ts'

/** Time for the response to a request. */
const RESPONSE_MS = 5_000
/** The same where etcd has none since 3.6. */
const NO_RESPONSE_MS = 300

export class WatchStream {
  readonly #frame: Frame
  readonly #stream: GrpcStream<WatchRequest, WatchResponse>
  /** By id: how events are divided into responses depends on time, so each event stands alone. */
  readonly #received = new Map<number, JsonObject[]>()
  /** The last revision of each watch that is complete, as the newest response says. */
  readonly #whole = new Map<number, number>()
  /** Watches that the client has created, and not cancelled. */
  readonly #known = new Set<number>()
  readonly #answers: JsonObject[] = []
  #wake: () => void = () => {}
  #end: JsonObject | undefined

  constructor(client: GrpcClient, frame: Frame, options: GrpcCallOptions) {
    this.#frame = frame
    this.#stream = client.duplex(RPC.watch, options)
    void this.#read()
  }

  /** Responses that each watch has received, by its id. */
  get received(): JsonObject {
    const ids = [...this.#received.keys()].toSorted((a, b) => a - b)
    return {
      ...Object.fromEntries(ids.map((id) => [`watch ${id}`, [...(this.#received.get(id) ?? [])]])),
      ...(this.#end && { end: this.#end }),
    }
  }

  /**
   * The response to the request; undefined: there is none. A request that creates a watch and cancels it, or creates
   * two, is several that are sent together: `next` is the second one.
   */
  async request({ next, ...request }: JsonObject): Promise<Json | undefined> {
    this.#stream.send(this.#frame.toRequest(request) as Partial<WatchRequest>)
    if (next === undefined) return await this.#answer(request)
    this.#stream.send(this.#frame.toRequest(next as JsonObject) as Partial<WatchRequest>)
    return [(await this.#answer(request)) ?? null, (await this.#answer(next as JsonObject)) ?? null]
  }

  async #answer({ cancelRequest, progressRequest }: JsonObject): Promise<JsonObject | undefined> {
    if (cancelRequest !== undefined) {
      const { watchId = 0 } = cancelRequest as { readonly watchId?: number }
      // etcd ignores the others.
      if (!this.#known.delete(watchId)) return undefined
    }
    const hasNone = progressRequest !== undefined && this.#known.size === 0
    const deadline = performance.now() + (hasNone ? NO_RESPONSE_MS : RESPONSE_MS)
    while (this.#answers.length === 0 && this.#end === undefined && performance.now() < deadline)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.max(0, deadline - performance.now()))
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    return this.#answers.shift() ?? this.#end
  }

  cancel(): void {
    this.#stream.cancel()
  }

  /** Whether a revision is divided into responses, where the one before does not say that it is a fragment. */
  #isWronglyDivided(watchId: number, events: WatchResponse['events'], fragment: boolean): boolean {
    const whole = this.#whole.get(watchId)
    const last = events.at(-1)?.kv?.modRevision
    if (fragment || last === undefined) this.#whole.delete(watchId)
    else this.#whole.set(watchId, last)
    return whole !== undefined && events[0]?.kv?.modRevision === whole
  }

  async #read(): Promise<void> {
    try {
      for await (const response of this.#stream) this.#receive(response)
      this.#end = {}
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error
      this.#end = { code: error.code, text: error.message }
    }
    this.#wake()
  }

  #receive({ events, fragment, ...response }: WatchResponse): void {
    const { watchId, created, canceled, compactRevision, header } = response
    const received = this.#received.get(watchId) ?? []
    this.#received.set(watchId, received)
    if (this.#isWronglyDivided(watchId, events, fragment)) received.push({ divided: true })
    for (const event of events) received.push(this.#frame.fromResponse(event))
    if (events.length > 0) return
    // Progress that nobody has requested comes at times of each server.
    if (!(created || canceled || compactRevision > 0) && watchId >= 0) return
    // etcd tells no revision in the header of a watch that compaction has ended.
    const shown = this.#frame.fromResponse({ ...response, header: compactRevision > 0 ? undefined : header })
    received.push(shown)
    if (compactRevision > 0 || !(created || canceled || watchId < 0)) return
    if (created && !canceled) this.#known.add(watchId)
    if (created) this.#whole.delete(watchId)
    this.#answers.push(shown)
    this.#wake()
  }
}
