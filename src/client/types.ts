// The types of the client's API. Some repeat types of src/operations: applications read these declarations, which reach
// into no internal file. Where a call returns a result, the compiler compares both.

import type { RecordMeta } from './errors.ts'

/** Certificates and a key in PEM. */
export interface ClientTls {
  /** The CAs that may sign the certificates of nodes. Default: those that Node.js knows. */
  readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[] | undefined
  /** The client's own certificate, where nodes ask for one. */
  readonly cert?: string | Uint8Array | undefined
  readonly key?: string | Uint8Array | undefined
  /** The name that the certificate of each node must have, instead of the host in its URL. */
  readonly servername?: string | undefined
}

export interface ClientOptions {
  /**
   * Base URLs of one or more nodes: `http://127.0.0.1:7301`, `127.0.0.1:7301`, or `https://…` for nodes with TLS. One
   * is enough to find the others.
   */
  readonly endpoints: readonly string[]
  /**
   * For `https://` endpoints: the CAs to trust, and the client's own certificate. A function returns the newest ones.
   * It is called at most every 10 seconds, before a request. A change is for new connections; others end when idle.
   */
  readonly tls?: ClientTls | (() => ClientTls) | undefined
  /** How long a call may take, retries included. Default 5,000. */
  readonly timeoutMs?: number | undefined
  /** Learn the other nodes from the first that answers. Default true; false: only `endpoints` are used. */
  readonly discover?: boolean | undefined
  /**
   * Fail earlier if no endpoint has accepted a connection for this long; the time for looking up names is added. Each
   * endpoint is tried once in any case. Default: the timeout of the call, so that a call survives a restart of the
   * whole cluster.
   */
  readonly unreachableAfterMs?: number | undefined
  /**
   * Limit on calls in flight, from 1 on; `Infinity`: no limit. Default 256. Further calls wait, first come, first
   * served. No byte of them has left, and their timeout runs.
   */
  readonly callsMax?: number | undefined
  /**
   * 'auto' (default): many operations over one connection to each node, as soon as the client makes many calls, where
   * the network lets it through; HTTP otherwise. 'http': HTTP only.
   */
  readonly transport?: 'auto' | 'http' | undefined
  /**
   * The user of all calls, with `password`. The client logs in by itself, and renews what it gets. While rights are not
   * checked, the user is not named.
   */
  readonly user?: string | undefined
  readonly password?: string | undefined
  /** Instead of a user and a password: a token of `POST /v1/auth/login`. It is used until it ends. */
  readonly token?: string | undefined
  /**
   * Called with a sentence about a problem that makes no call fail, such as an endpoint of another cluster. Default:
   * `process.emitWarning`.
   */
  readonly onWarning?: ((message: string) => void) | undefined
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined
  /** Instead of the client's `timeoutMs`. */
  readonly timeoutMs?: number | undefined
}

export interface NodeCallOptions extends CallOptions {
  /** Ask this node and no other. */
  readonly endpoint?: string | undefined
}

export interface BackupOptions extends NodeCallOptions {
  /** false: without the versions of keys that were replaced. */
  readonly history?: boolean | undefined
}

export interface PutOptions extends CallOptions {
  /** Only if the key's `modRevision` is this. */
  readonly ifRevision?: number
  /** Only if the key does not exist. */
  readonly ifAbsent?: boolean
  /** The lease that deletes the key when it ends: its id. Without `lease` and `ttlMs` the key has none from now on. */
  readonly lease?: string | undefined
  /** A lease of its own, which ends after this time, from a second on, unless it is kept alive. */
  readonly ttlMs?: number | undefined
}

export interface DeleteOptions extends CallOptions {
  /** Only if the key's `modRevision` is this. */
  readonly ifRevision?: number
}

export interface PutResult {
  /** The store's revision after this write. */
  readonly revision: number
  readonly createRevision: number
  readonly modRevision: number
  readonly version: number
}

export interface DeleteResult {
  readonly deleted: 0 | 1
  readonly revision: number
}

export type Consistency = 'linearizable' | 'lease' | 'stale'

export interface ReadOptions extends CallOptions {
  /** Default linearizable. */
  readonly consistency?: Consistency | undefined
  /** For stale reads only: refuse data that may be older than this. Above 0, up to a day. */
  readonly maxStalenessMs?: number | undefined
  /** Wait until this revision is applied. In any case the client never reads older data than it has seen. */
  readonly minRevision?: number | undefined
  /** As the store was at this revision, as far back as its history goes (`compacted`). */
  readonly revision?: number | undefined
  /** Called with the metadata of each answer. */
  readonly onAnswer?: ((info: AnswerInfo) => void) | undefined
}

export interface GetOptions extends ReadOptions {
  /** The record has the time of its change. Default: false. */
  readonly time?: boolean | undefined
}

/** Which node answered a read, and how fresh the answer is. */
export interface AnswerInfo {
  /** Name of the node. */
  readonly node: string | undefined
  /** The revision of the data in the answer. */
  readonly revision: number | undefined
  /** The consistency of the answer. */
  readonly consistency: Consistency | undefined
  /** Stale reads: a proven upper bound of the answer's age; undefined when unknown. */
  readonly stalenessMs: number | undefined
}

/** All keys, those with a prefix, or those between two keys. */
export interface RangeOptions extends ReadOptions {
  readonly prefix?: string | Uint8Array | undefined
  /** First key, inclusive. */
  readonly start?: string | Uint8Array | undefined
  /** First key after the range, exclusive. */
  readonly end?: string | Uint8Array | undefined
}

export interface ListOptions extends RangeOptions {
  /** At most this many records. */
  readonly limit?: number | undefined
  readonly order?: 'asc' | 'desc' | undefined
  /** Leave out the values; they are empty then. */
  readonly keysOnly?: boolean | undefined
  /**
   * false (default): page by page. Each page is retried and may be newer than the one before.
   * true: every record of one revision, in one stream; fails when the connection breaks.
   */
  readonly snapshot?: boolean | undefined
}

/** A key with its value. */
export interface KvRecord extends RecordMeta {
  readonly value: Uint8Array
  /** The id of the lease that deletes the key when it ends; undefined: it has none. */
  readonly lease: string | undefined
  /** The user who wrote this version; absent: rights were not checked. */
  readonly by?: string
  /**
   * The time of the change, by the clock of the node that took it. Absent: it was not requested, or is not known. The
   * clocks of nodes differ, and may be set back: only revisions have an order.
   */
  readonly time?: Date
  /** The value as text. */
  text(): string
  /** The value parsed as JSON. */
  json(): unknown
}

export interface Member {
  readonly name: string
  /** 64 bits as decimal digits. */
  readonly replicaId: string
  readonly role: 'voter' | 'learner'
  /** host:port of its peer listener. */
  readonly peer: string
  /** Base URL of its HTTP API. */
  readonly url: string
  /** The index up to which its log is known to match the leader's; only the leader knows this. */
  readonly matchIndex: number | undefined
}

export interface ClusterInfo {
  readonly clusterId: string | undefined
  /** Name of the leader, if the node that answered knows one. */
  readonly leader: string | undefined
  readonly term: number | undefined
  readonly members: readonly Member[]
}

export interface NodeStatus {
  readonly name: string
  readonly version: string
  readonly clusterId: string
  readonly replicaId: string
  readonly role: string
  readonly leader: string | undefined
  readonly term: number
  readonly commitIndex: number
  readonly appliedIndex: number
  readonly logFirstIndex: number
  readonly revision: number
  readonly clusterVersion: number
  /** Equal on all replicas that have applied the same entries. */
  readonly stateHash: string
  readonly members: readonly Member[]
  /** Free bytes of the file system with the data directory; undefined when they are unknown. */
  readonly diskFreeBytes: number | undefined
  readonly diskTotalBytes: number | undefined
  /** How long the files of certificates are still valid; negative after that. */
  readonly certificates: readonly { readonly file: string; readonly expiresInMs: number }[]
  /** The age of the newest scheduled backup that the node knows. */
  readonly lastBackupAgeMs: number | undefined
  /** Problems for an operator; empty when all is well. */
  readonly errors: readonly string[]
}

export interface NewMember {
  readonly name: string
  readonly replicaId: string
  readonly peer: string
  readonly url: string
}

/** The replicated settings, by their names in the HTTP API. */
export type Settings = Readonly<Record<string, unknown>>
