// Write ids of one client: tokens, and slots of a session that is opened in the background.

import type { ClusterView } from './cluster-view.ts'
import { headerText, isWholeNumber, parseObject } from './decode.ts'
import type { Endpoints } from './endpoints.ts'
import type { Closing } from './interruption.ts'
import { API } from './operation.ts'
import type { Transport } from './transport/transport.ts'
import { type OpenedSession, type WriteId, WriteIds } from './write-id.ts'

interface SourceOptions {
  readonly endpoints: Endpoints
  readonly http: Transport
  readonly cluster: ClusterView
  readonly closing: Closing
  readonly timeoutMs: number
  /** Whether the client makes many calls, for which a session pays. */
  readonly wantsSession: () => boolean
}

export class WriteIdSource {
  readonly #options: SourceOptions
  readonly #ids = new WriteIds()

  constructor(options: SourceOptions) {
    this.#options = options
  }

  /** A free slot of the session, or a token. */
  next(): WriteId {
    const { cluster, wantsSession } = this.#options
    if (cluster.revision === 0 || !wantsSession()) return this.token()
    const nowMs = performance.now()
    if (this.#ids.shouldOpen(nowMs)) this.#openSession(nowMs)
    return this.#ids.next(cluster.revision)
  }

  token(): WriteId {
    return this.#ids.token(this.#options.cluster.revision)
  }

  /** The write has ended. */
  release(writeId: WriteId): void {
    this.#ids.release(writeId)
  }

  /** The cluster has forgotten the session of this write id. */
  forgotten(writeId: WriteId): void {
    this.#ids.forgotten(writeId)
  }

  /** Runs in the background. Until it is done, and where it fails, writes have tokens. */
  #openSession(nowMs: number): void {
    const { endpoints, http, cluster, closing, timeoutMs } = this.#options
    const endpoint = endpoints.pick(() => true, nowMs)
    if (endpoint === undefined) return
    const headers = { 'Content-Type': 'application/json' }
    const request = {
      op: API,
      method: 'POST',
      path: '/v1/sessions',
      headers,
      body: Buffer.from('{}'),
    } as const
    const options = { timeoutMs, background: true, clusterId: cluster.id }
    void http.send(endpoint, request, options).then((outcome) => {
      if (outcome.kind !== 'answered' || outcome.status !== 200 || closing.isClosed) return
      const opened = sessionIn(outcome.body)
      const isOurs = headerText(outcome.headers, 'kv-cluster') === cluster.id
      if (isOurs && opened !== undefined) this.#ids.opened(opened, nowMs)
    })
  }
}

/** undefined: the answer has another form. */
function sessionIn(body: Parameters<typeof parseObject>[0]): OpenedSession | undefined {
  const { session, age_ms, slots } = parseObject(body) ?? {}
  const isValid = isWholeNumber(session) && isWholeNumber(age_ms) && isWholeNumber(slots)
  return isValid ? { session, age_ms, slots } : undefined
}
