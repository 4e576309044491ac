// Clients that read the responses of etcd's Watch themselves. Each watch has a stream and a connection of its own.

import type { KeyValue } from '../../../../src/etcd/messages/kv.ts'
import {
  EVENT_DELETE,
  type Event,
  FILTER_NO_DELETE,
  FILTER_NO_PUT,
  type WatchCreateRequest,
  type WatchRequest,
  type WatchResponse,
} from '../../../../src/etcd/messages/watch.ts'
import { RPC } from '../../../../src/etcd/rpcs.ts'
import { GRPC, GrpcError } from '../../../../src/etcd/status.ts'
import type { GrpcStream } from '../../../../src/etcd-client/grpc-client.ts'
import type { WatchedEvent, WatchedRow, WatchMessage, WatchSelection } from '../../../checker/watch/index.ts'
import { FIRST_REVISION } from '../../../workload/history.ts'
import { BEGIN_MS, codedError, type NodeWatch, NodeWatchClients, PROGRESS_MS } from '../watch-clients.ts'
import { GRACE_MS, type NodeAddress } from '../wire.ts'
import { decodeKey, decodeValue, encodeBounds, encodeKey } from './fields.ts'
import { GrpcNodes } from './grpc-nodes.ts'

/** The stream reads some ten responses ahead of its consumer. Then its node must wait. */
const AHEAD_BYTES_MAX = 4 * 1024

type WatchStream = GrpcStream<WatchRequest, WatchResponse>

/** Statuses with which a node may end a watch: it stops, or knows no leader. */
const ENDS: ReadonlySet<number> = new Set([GRPC.unavailable, GRPC.resourceExhausted, GRPC.cancelled])

export class GrpcWatchClients extends NodeWatchClients {
  protected async open(
    { port }: NodeAddress,
    _id: number,
    watched: WatchSelection,
    signal: AbortSignal,
  ): Promise<NodeWatch | undefined> {
    const nodes = new GrpcNodes(this.options.tls)
    const stream = nodes.find(port).duplex(RPC.watch, { aheadBytesMax: AHEAD_BYTES_MAX })
    const end = (): void => {
      clearInterval(asking)
      clearTimeout(beginning)
      signal.removeEventListener('abort', end)
      stream.cancel()
      nodes.close()
    }
    const asking = setInterval(() => send(stream, { progressRequest: {} }), PROGRESS_MS)
    const beginning = setTimeout(end, BEGIN_MS + GRACE_MS)
    signal.addEventListener('abort', end, { once: true })
    const begun = (): void => clearTimeout(beginning)
    send(stream, { createRequest: this.#createRequest(watched) })
    return {
      messages: this.#readMessages(stream, watched, begun),
      // The stream stops by itself.
      pause: () => {},
      end,
    }
  }

  #createRequest(watched: WatchSelection): Partial<WatchCreateRequest> {
    const { key, from, only, prev } = watched
    return {
      ...(key !== undefined ? { key: encodeKey(key) } : encodeBounds(watched)),
      startRevision: from ?? 0,
      prevKv: prev,
      filters: only === undefined ? [] : [only === 'put' ? FILTER_NO_DELETE : FILTER_NO_PUT],
      fragment: this.options.usesOtherForm === true,
      progressNotify: true,
    }
  }

  async *#readMessages(
    stream: WatchStream,
    { from, prev }: WatchSelection,
    begun: () => void,
  ): AsyncGenerator<WatchMessage, void, undefined> {
    /** The events of the revisions of parts that have arrived. */
    let parts: Event[] = []
    let isCreated = false
    try {
      for await (const response of stream) {
        const { created, canceled, fragment, events, watchId, header, compactRevision } = response
        const revision = header?.revision ?? 0
        if (canceled) {
          const end = this.#readCanceled(response)
          if (end !== undefined) yield end
          return
        }
        if (created) {
          if (isCreated || events.length > 0) return this.#report(response)
          isCreated = true
          begun()
          const begins = Math.max(FIRST_REVISION + 1, from ?? revision + 1)
          this.noteCreated(begins)
          yield { kind: 'created', revision, from: begins }
          continue
        }
        if (compactRevision !== 0 || revision < 1) return this.#report(response)
        parts = [...parts, ...events]
        if (fragment) continue
        if (parts.length === 0) {
          // Before its first revision exists, a watch receives the progress of the store.
          if (watchId !== 0 && watchId !== ALL_WATCHES) return this.#report(response)
          this.noteReceived(revision)
          yield { kind: 'progress', revision }
          continue
        }
        for (const message of messagesFrom(parts, prev)) {
          this.noteReceived(message.revision)
          yield message
        }
        parts = []
      }
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error
      if (!ENDS.has(error.code))
        this.options.report(`a watch ended with status ${error.code}: ${error.message}`)
      throw codedError('ENDED', error.message)
    }
  }

  /** The end of a watch by its node. undefined: it is one that no node should send, which is reported. */
  #readCanceled(response: WatchResponse): WatchMessage | undefined {
    const { compactRevision } = response
    if (compactRevision === 0) {
      this.#report(response)
      return undefined
    }
    const next = this.from ?? 0
    this.from = compactRevision
    return { kind: 'compacted', next, compactRevision, resumeFrom: compactRevision }
  }

  #report(response: WatchResponse): void {
    const { events, header, ...fields } = response
    const shown = JSON.stringify({ ...fields, revision: header?.revision, events: events.length })
    this.options.report(`a watch received what no server should send: ${shown}`)
  }
}

/** The id in a response to a request for progress. */
const ALL_WATCHES = -1

const send = (
  stream: WatchStream,
  request: { createRequest: Partial<WatchCreateRequest> } | { progressRequest: object },
): void => stream.send(request as Partial<WatchRequest>)

/** A response may have several revisions, each of them whole. */
function messagesFrom(
  events: readonly Event[],
  wantsPrev: boolean,
): Extract<WatchMessage, { kind: 'events' }>[] {
  const messages: { kind: 'events'; revision: number; events: WatchedEvent[] }[] = []
  for (const event of events) {
    const revision = event.kv?.modRevision ?? 0
    const last = messages.at(-1)
    const watched = watchedEvent(event, wantsPrev)
    if (last?.revision === revision) last.events.push(watched)
    else messages.push({ kind: 'events', revision, events: [watched] })
  }
  return messages
}

function watchedEvent({ type, kv, prevKv }: Event, wantsPrev: boolean): WatchedEvent {
  const key = decodeKey(kv?.key ?? new Uint8Array())
  const prev = prevKv !== undefined ? { prev: watchedRow(prevKv) } : wantsPrev ? { prev: null } : {}
  if (type === EVENT_DELETE) return { key, type: 'delete', ...prev }
  return { key, type: 'put', ...(kv !== undefined && { record: watchedRow(kv) }), ...prev }
}

function watchedRow({ key, value, createRevision, modRevision, version, lease }: KeyValue): WatchedRow {
  return {
    ...{ key: decodeKey(key), createRevision, modRevision, version, value: decodeValue(value) },
    ...(lease !== 0n && { lease: String(lease) }),
  }
}
