// A client's view of its cluster: the id, the highest revision seen, and the members. Unless the cluster is given, it
// is that of the node that answers first. Nodes of other clusters are left out, with one warning for each endpoint.

import { cluster } from '../operations/cluster.ts'
import type { NodeAnswerHead } from '../operations/forms/answer-head.ts'
import type { ConnectionWelcome } from '../operations/mux/connection.ts'
import type { ClientCredentials } from './credentials.ts'
import type { Endpoint, Endpoints } from './endpoints.ts'
import type { CloseNotifier } from './interruption.ts'
import type { Transport } from './transport/transport.ts'

/** Shortest time between two reads of the member list: normally, and after a failure. */
const DISCOVER_AGAIN_MS = 30_000
const DISCOVER_AFTER_FAILURE_MS = 1_000
const DISCOVER_TIMEOUT_MS = 2_000

interface ViewOptions {
  /** undefined: the cluster is that of the node that answers first. */
  readonly id: string | undefined
  readonly endpoints: Endpoints
  readonly http: Transport
  readonly credentials: ClientCredentials
  readonly closing: CloseNotifier
  readonly discover: boolean
  readonly warn: (message: string) => void
  /** The list of endpoints has changed. */
  readonly onMembers: () => void
}

export class ClusterView {
  readonly #options: ViewOptions
  /** Endpoints of other clusters for which a warning was given. */
  readonly #warned = new Set<string>()
  /** undefined: it was not given, and no node has answered yet. */
  id: string | undefined
  /** The highest revision seen; 0: none yet. */
  revision = 0
  #discoverAt = 0

  constructor(options: ViewOptions) {
    this.#options = options
    this.id = options.id
  }

  /** The application has seen this revision: later reads are at least as recent. */
  seen(revision: number): void {
    this.revision = Math.max(this.revision, revision)
  }

  /**
   * Returns the id of the answer's cluster if it is another cluster. `isKnown`: the endpoint is one of the client's. A
   * node that the caller named for one call does not determine the cluster.
   */
  noteAnswer(
    { clusterId, revision }: NodeAnswerHead,
    endpoint: Endpoint,
    isKnown: boolean,
  ): string | undefined {
    if (clusterId === undefined) return undefined
    if (isKnown) this.id ??= clusterId
    if (clusterId === this.id) {
      this.noteRevision(endpoint, revision)
      return undefined
    }
    if (this.id === undefined) return undefined
    if (isKnown) this.#warnOfOtherCluster(endpoint, clusterId, this.id)
    return clusterId
  }

  /** Returns whether the node belongs to this cluster. */
  noteWelcome(endpoint: Endpoint, { cluster: clusterId, revision }: ConnectionWelcome): boolean {
    if (clusterId === this.id) this.noteRevision(endpoint, revision)
    else if (this.id !== undefined) this.#warnOfOtherCluster(endpoint, clusterId, this.id)
    return clusterId === this.id
  }

  noteRevision(endpoint: Endpoint, revision: number | undefined): void {
    if (revision !== undefined) this.seen(revision)
    const { discover, closing, credentials } = this.#options
    if (!discover || closing.isClosed || performance.now() < this.#discoverAt || credentials.isLacking())
      return
    this.#learnMembers(endpoint)
  }

  hastenDiscovery(): void {
    this.#discoverAt = Math.min(this.#discoverAt, performance.now() + DISCOVER_AFTER_FAILURE_MS)
  }

  #warnOfOtherCluster({ url }: Endpoint, clusterId: string, ours: string): void {
    if (this.#warned.has(url)) return
    this.#warned.add(url)
    this.#options.warn(
      `${url} belongs to another cluster (${clusterId}) than this client (${ours}): left out`,
    )
  }

  /** Runs in the background, started by answers and not by a timer, so that no timer is left over. */
  #learnMembers(endpoint: Endpoint): void {
    this.#discoverAt = performance.now() + DISCOVER_AGAIN_MS
    const { http, endpoints, onMembers, credentials } = this.#options
    const { authorization } = credentials
    const options = { timeoutMs: DISCOVER_TIMEOUT_MS, background: true, clusterId: this.id, authorization }
    void http
      .send(endpoint, cluster, { kind: 'cluster' }, options)
      .then((outcome) => {
        if (outcome.kind !== 'served') throw new Error('no list of members')
        const { leader, members } = outcome.result
        if (outcome.head.clusterId !== this.id) return
        // A node that was removed while it was stopped knows no leader and none of the newer members.
        const isCurrent = leader !== undefined
        endpoints.learn(
          members.map(({ url }) => url),
          isCurrent,
        )
        onMembers()
        if (!isCurrent) this.hastenDiscovery()
      })
      .catch(() => this.hastenDiscovery())
  }
}
