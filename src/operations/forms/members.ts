// Members of the cluster, as operations name them.

export interface NewReplica {
  /** The id of the replica: 64 bits as decimal digits, not 0. */
  readonly id: string
  /** `[a-z0-9-]{1,63}`, unique in the cluster. */
  readonly name: string
  /** host:port of its peer listener. */
  readonly peer: string
  /** Base URL of its HTTP API, without a trailing slash. */
  readonly url: string
}
