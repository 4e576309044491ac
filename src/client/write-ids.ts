// Hands out the write ids of one client: tokens, and slots of a session. A client with many writes opens a session in
// the background. Until it is open, and where that fails, writes have tokens.

import crypto from 'node:crypto'
import { asRevision, type Idempotency } from '../operations/forms/index.ts'
import { openSession } from '../operations/open-session.ts'
import type { ClusterView } from './cluster-view.ts'
import type { ClientCredentials } from './credentials.ts'
import type { Endpoints } from './endpoints.ts'
import type { CloseNotifier } from './interruption.ts'
import type { MuxTransport } from './transport/mux-transport.ts'
import type { Transport } from './transport/transport.ts'

/** Share of the age at which the cluster forgets a session, during which it is used. The last writes need time too. */
const AGE_SHARE = 0.5
/** Pause between two requests for a session. */
const OPEN_AGAIN_MS = 10_000
/** Last sequence number of a slot. The slot is not used again after it. */
const SEQ_MAX = 2 ** 48 - 1

interface SourceOptions {
  readonly endpoints: Endpoints
  readonly http: Transport
  readonly cluster: ClusterView
  readonly credentials: ClientCredentials
  readonly closing: CloseNotifier
  readonly timeoutMs: number
  /** undefined: the client uses none. */
  readonly mux: MuxTransport | undefined
}

/** The session in use. */
interface ClientSession {
  readonly number: number
  readonly slots: number
  /** Last sequence number of each slot that was used. */
  readonly seqs: number[]
  readonly free: number[]
}

export class WriteIdSource {
  readonly #options: SourceOptions
  /** Prefix of the tokens of this client: 128 random bits, so no two clients share one. */
  readonly #prefix = crypto.randomBytes(16).toString('base64url')
  #count = 0
  #clientSession: ClientSession | undefined
  /** When the next session may be requested, by `performance.now()`. */
  #openAt = 0

  constructor(options: SourceOptions) {
    this.#options = options
  }

  /** A free slot of the session, or a token. `release` must be called when the write has ended. */
  next(): Idempotency {
    const { cluster, mux } = this.#options
    // A session pays for a client with many calls.
    if (cluster.revision === 0 || mux?.isActive !== true) return this.token()
    const nowMs = performance.now()
    if (nowMs >= this.#openAt) this.#openClientSession(nowMs)
    const session = this.#clientSession
    const slot = session?.free.pop() ?? session?.seqs.length ?? 0
    if (session === undefined || slot >= session.slots) return this.token()
    const seq = (session.seqs[slot] ?? 0) + 1
    session.seqs[slot] = seq
    return { session: session.number, slot, seq }
  }

  /** A revision of 0 is unknown: a node that joins answers it. */
  token(): Idempotency {
    const { revision } = this.#options.cluster
    return {
      token: `${this.#prefix}-${++this.#count}`,
      since: revision === 0 ? undefined : asRevision(revision),
    }
  }

  /** The write has ended. The next write of its slot makes the cluster refuse copies that arrive later. */
  release(writeId: Idempotency): void {
    if (!('session' in writeId) || writeId.session !== this.#clientSession?.number || writeId.seq === SEQ_MAX)
      return
    this.#clientSession.free.push(writeId.slot)
  }

  /** The cluster has forgotten the session of this write id. */
  forgotten(writeId: Idempotency): void {
    if (!('session' in writeId) || writeId.session !== this.#clientSession?.number) return
    this.#clientSession = undefined
    this.#openAt = 0
  }

  #openClientSession(nowMs: number): void {
    this.#openAt = nowMs + OPEN_AGAIN_MS
    const { endpoints, http, cluster, closing, timeoutMs, credentials } = this.#options
    const endpoint = endpoints.pick(() => true, nowMs)
    if (endpoint === undefined) return
    const { authorization } = credentials
    const options = { timeoutMs, background: true, clusterId: cluster.id, authorization }
    void http.send(endpoint, openSession, { kind: 'open-session' }, options).then((outcome) => {
      if (outcome.kind !== 'served' || outcome.head.clusterId !== cluster.id || closing.isClosed) return
      const { session, ageMsMax, slots } = outcome.result
      this.#clientSession = { number: session, slots, seqs: [], free: [] }
      // The age that the cluster counts began after the request.
      this.#openAt = nowMs + ageMsMax * AGE_SHARE
    })
  }
}

/** Whether the cluster can tell a late copy of the write from a new write. */
export const isDated = (writeId: Idempotency): boolean => 'session' in writeId || writeId.since !== undefined
