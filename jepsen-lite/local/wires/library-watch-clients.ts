// A watch of the client library. It continues at other nodes by itself, and hides that: so all of it is one connection
// for the judge.

import {
  type Client,
  CompactedError,
  type KvRecord,
  QuorateError,
  type WatchBatch,
} from '../../../src/client/index.ts'
import { pause } from '../../../src/client/timer.ts'
import type { ClientTls } from '../../../src/client/types.ts'
import { localUrl } from '../../../src/local/addresses.ts'
import type { WatchedEvent } from '../../checker/watch/index.ts'
import { FIRST_REVISION } from '../../workload/history.ts'
import { nameFromBody } from '../values.ts'
import { PROGRESS_MS, type WatchClientOptions, type WatchClients } from './watch-clients.ts'

const AGAIN_MS = 200

type CreateClient = (options: {
  readonly endpoints: readonly string[]
  readonly tls: ClientTls | undefined
}) => Client

export class LibraryWatchClients implements WatchClients {
  readonly client: string
  readonly done: Promise<void>
  upTo = 0
  id: number | undefined
  readonly #options: WatchClientOptions
  #from: number | undefined

  readonly #createClient: CreateClient

  constructor(options: WatchClientOptions, createClient: CreateClient) {
    this.client = options.client
    this.#options = options
    this.#createClient = createClient
    this.#from = options.selection.from
    this.done = this.#run()
  }

  async #run(): Promise<void> {
    const { signal, targets, tls } = this.#options
    const endpoints = targets().map(({ port }) => localUrl(port, tls !== undefined))
    await using kv = this.#createClient({ endpoints, tls })
    while (!signal.aborted) {
      await this.#watch(kv)
      this.id = undefined
      await pause(AGAIN_MS, signal)
    }
  }

  async #watch(kv: Client): Promise<void> {
    const { selection, client, recorder, signal } = this.#options
    const from = this.#from
    const { key, start = '', end, only, prev, values } = selection
    const id = recorder.watch(client, 'any', { ...selection, ...(from !== undefined && { from }) })
    const place =
      key !== undefined ? { key } : start === '' && end === undefined ? { all: true } : { start, end }
    const watch = kv.watch({
      ...place,
      only,
      prev,
      keysOnly: !values,
      fromRevision: from,
      progressMs: PROGRESS_MS,
      signal,
      onProgress: (revision) => {
        recorder.watchMessage(id, { kind: 'progress', revision })
        this.#noteReceived(revision)
      },
    })
    try {
      const revision = await watch.ready
      const begins = Math.max(2, from ?? revision + 1)
      recorder.watchMessage(id, { kind: 'created', revision, from: begins })
      this.id = id
      this.#noteReceived(begins - 1)
      for await (const batch of watch) {
        recorder.watchMessage(id, {
          kind: 'events',
          revision: batch.revision,
          events: this.#watchedEvents(batch),
        })
        this.#noteReceived(batch.revision)
      }
    } catch (error) {
      // No node was there for too long: it begins again where it was.
      if (!(error instanceof QuorateError)) throw error
      if (error instanceof CompactedError && error.resumeFrom !== undefined) {
        const { compactRevision = 0, resumeFrom } = error
        const next = Math.max(FIRST_REVISION + 1, this.#from ?? 0)
        recorder.watchMessage(id, { kind: 'compacted', next, compactRevision, resumeFrom })
        this.#from = resumeFrom
      }
    }
  }

  #noteReceived(revision: number): void {
    this.upTo = Math.max(this.upTo, revision)
    this.#from = Math.max(this.#from ?? 0, revision + 1)
  }

  #watchedEvents({ events }: WatchBatch): WatchedEvent[] {
    return events.map((event): WatchedEvent => {
      const prev = event.prev === undefined ? {} : { prev: event.prev && this.#recordedRow(event.prev) }
      if (event.type === 'delete') return { key: event.key, type: 'delete', ...prev }
      return { key: event.key, type: 'put', record: this.#recordedRow(event.kv), ...prev }
    })
  }

  #recordedRow(record: KvRecord): NonNullable<WatchedEvent['record']> {
    const { key, createRevision, modRevision, version, lease } = record
    const value = this.#options.selection.values ? { value: nameFromBody(record.text()) } : {}
    return { key, createRevision, modRevision, version, ...value, ...(lease !== undefined && { lease }) }
  }
}
