// Streams of watches that a test plays: the requests of a watch, and the messages that it gets.

import { vi } from 'vitest'
import { encodeUtf8 } from '../../src/bytes/utf8.ts'
import { Endpoint } from '../../src/client/endpoints.ts'
import { AbortedError, UnavailableError } from '../../src/client/errors.ts'
import { ClientWatch, type WatchHost } from '../../src/client/watch.ts'
import type { WatchOptions } from '../../src/client/watch-types.ts'
import { asRevision, decodeProblem } from '../../src/operations/forms/index.ts'
import type { WatchedChanges } from '../../src/operations/index.ts'
import { type DecodedWatchMessage, NDJSON } from '../../src/operations/watch.ts'

export const endpoint = new Endpoint(new URL('http://127.0.0.1:1'))

/** A stream that the test feeds. */
export class Feed {
  readonly request: WatchedChanges
  isClosed = false
  #ready: DecodedWatchMessage[] = []
  #end: { error: unknown } | undefined
  #wake = () => {}

  constructor(request: WatchedChanges) {
    this.request = request
  }

  send(...messages: readonly DecodedWatchMessage[]): void {
    this.#ready.push(...messages)
    this.#wake()
  }

  /** Without an error it ends in order. */
  end(error?: unknown): void {
    this.#end = { error }
    this.#wake()
  }

  get waiting(): number {
    return this.#ready.length
  }

  readonly close = (): void => {
    this.isClosed = true
    this.end()
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  async *messages() {
    for (;;) {
      const message = this.#ready.shift()
      if (message !== undefined) yield message
      else if (this.#end === undefined) await this.#woken()
      else if (this.#end.error !== undefined) throw this.#end.error
      else return
    }
  }
}

export class Scene {
  readonly feeds: Feed[] = []
  readonly asked: WatchedChanges[] = []
  /** Errors of the next requests; undefined: it is served. */
  readonly refusals: (Error | undefined)[] = []
  readonly seen: number[] = []
  readonly #ends = new Set<() => void>()
  reason: AbortedError | undefined
  /** Messages of its streams arrive whether or not they are taken. */
  isShared = false
  onOpen: (feed: Feed) => void = () => {}
  /** Signal of the last request: fires when the watch needs no stream any more. */
  signal: AbortSignal | undefined

  readonly host: WatchHost = {
    timeoutMs: 5000,
    open: async (request, { signal }) => {
      this.asked.push(request)
      this.signal = signal
      const refusal = this.refusals.shift()
      if (refusal !== undefined) throw refusal
      if (signal.aborted) throw new AbortedError('aborted', { code: 'aborted', written: 'no' })
      const feed = new Feed(request)
      this.feeds.push(feed)
      this.onOpen(feed)
      return { endpoint, messages: feed.messages(), isShared: this.isShared, close: feed.close }
    },
    seen: (revision) => void this.seen.push(revision),
    interruption: () => ({
      reason: () => this.reason,
      listen: (end) => {
        this.#ends.add(end)
        if (this.reason !== undefined) end()
        return () => this.#ends.delete(end)
      },
    }),
  }

  watch(options: WatchOptions = { prefix: 'k' }): ClientWatch {
    return new ClientWatch(this.host, options)
  }

  interrupt(): void {
    this.reason = new AbortedError('the call was aborted', { code: 'aborted', written: 'no' })
    for (const end of this.#ends) end()
  }

  get feed(): Feed {
    const feed = this.feeds.at(-1)
    if (feed === undefined) throw new Error('nothing was asked for')
    return feed
  }

  get atRest(): boolean {
    return this.#ends.size === 0 && vi.getTimerCount() === 0 && this.feeds.every(({ isClosed }) => isClosed)
  }
}

export const created = (revision: number): DecodedWatchMessage => ({
  kind: 'created',
  revision: asRevision(revision),
})
export const progress = (revision: number): DecodedWatchMessage => ({
  kind: 'progress',
  revision: asRevision(revision),
})

export const put = (
  at: number,
  ...keys: readonly string[]
): DecodedWatchMessage & { readonly kind: 'events' } => {
  const revision = asRevision(at)
  const revisions = { createRevision: revision, modRevision: revision, version: 1 }
  const events = keys.map((text) => {
    const [key, value] = [encodeUtf8(text), encodeUtf8(`at ${at}`)]
    const record = { key, value, ...revisions, lease: undefined }
    return { type: 'put' as const, key, revision, record, prev: undefined }
  })
  return { kind: 'events', revision, events }
}

export const problem = (code: string, members: object = {}): DecodedWatchMessage => ({
  kind: 'ended',
  problem: decodeProblem({
    ...{ status: code === 'compacted' ? 410 : 503, code, detail: `the node says ${code}` },
    ...members,
  }),
})

/** The line of a message over HTTP. */
export function lineFrom(message: DecodedWatchMessage): string {
  if (message.kind === 'created') return NDJSON.created(message.revision, 0)
  if (message.kind === 'progress') return NDJSON.progress(message.revision, 0)
  if (message.kind === 'ended') return `${JSON.stringify({ ...message.problem?.fields, type: 'error' })}\n`
  const events = message.events.map((event, at) => NDJSON.event(event, event.prev, true, at))
  return `${NDJSON.head(message.revision)}${events.join('')}${NDJSON.tail}`
}

export const unavailable = () => new UnavailableError('no leader', { code: 'no_leader', written: 'no' })
