// Options to start a node, and the interface of a running one: the public types of this folder, which applications
// import.

import type { RaftTiming } from '../raft/timing.ts'
import type { HttpLimits } from './listener/limits.ts'

/** The methods of a pino logger that a node calls. */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface ListenAddress {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
}

/** How an empty data directory becomes a node. `existing`: only a directory with a node is accepted. */
export type Founding =
  /** `clusterId`: 64 bits in decimal digits; random if it is missing. */
  | { readonly kind: 'bootstrap'; readonly clusterId?: string | undefined }
  /**
   * `clusterId`: joins only that cluster, and contacts only `urls`. Without it, the node joins the first cluster that
   * answers, and contacts its members too.
   */
  | {
      readonly kind: 'join'
      readonly urls: readonly string[]
      readonly replace: boolean
      readonly clusterId?: string | undefined
      /** The Authorization header of its requests. With a certificate for peers, a node needs none. */
      readonly authorization?: string | undefined
    }
  | { readonly kind: 'existing' }

/** Each option may be missing or undefined. */
export type Optional<Options> = { readonly [Name in keyof Options]?: Options[Name] | undefined }

/** The files of the client port, in PEM. They are read again when they change. */
export interface NodeTls {
  /** The certificate, followed by those of intermediate CAs. */
  readonly cert: string
  /** Its private key, which only its owner can read. */
  readonly key: string
  /** The CAs that sign the certificates of clients. */
  readonly ca?: string | undefined
  /** Certificates that these CAs have revoked. Needs `ca`. */
  readonly crl?: string | undefined
  /** `required`: clients without a certificate cannot connect. Default with `ca`: optional. */
  readonly clientCert?: 'optional' | 'required' | undefined
}

export interface CertificateExpiry {
  readonly file: string
  /** Seconds until the first certificate or list in the file ends; negative after that. */
  readonly seconds: number
}

/** The files for connections between nodes, in PEM. They are read again when they change. */
export interface PeerTls {
  /** A certificate for both sides of a connection, which has the name or the peer host of the node. */
  readonly cert: string
  readonly key: string
  /** The CAs that sign the certificates of nodes, and of nothing else that must not join. */
  readonly ca: string
  /** Certificates that these CAs have revoked. */
  readonly crl?: string | undefined
}

export interface NodeOptions {
  readonly name: string
  /** Resolved at the start: later changes of the working directory or of links have no effect. */
  readonly dataDir: string
  readonly listen: ListenAddress
  readonly peerListen: ListenAddress
  /** Where `/livez`, `/readyz` and `/metrics` are served over plain HTTP, to anybody. */
  readonly metricsListen?: readonly ListenAddress[] | undefined
  readonly founding: Founding
  /** host:port that peers dial. Default: the host of `peerListen` and the bound port. */
  readonly advertisePeer?: string | undefined
  readonly advertiseUrl?: string | undefined
  readonly timing?: Optional<RaftTiming> | undefined
  /** Free space below which changes other than deletes are refused. Default: `driverLimits.diskReserveBytes`. */
  readonly diskReserveBytes?: number | undefined
  /** Overrides of `httpLimits`: whole numbers from 1, those in milliseconds below 2³¹. */
  readonly httpLimits?: Optional<HttpLimits> | undefined
  /** With it, the client port speaks only TLS. */
  readonly tls?: NodeTls | undefined
  /** With it, the peer port speaks only TLS, and peers show certificates to each other. */
  readonly peerTls?: PeerTls | undefined
  /** Allows listening beyond loopback without TLS, and serves clients of other machines without authentication. */
  readonly insecure?: boolean | undefined
  readonly allowedHosts?: readonly string[] | undefined
  readonly corsOrigins?: readonly string[] | undefined
  /** Whether clients of etcd are served. Default: true. */
  readonly etcdApi?: boolean | undefined
  /** Appends a line for each change and each refusal to this file, or with `all` for each operation. */
  readonly auditLog?: { readonly file: string; readonly operations: 'changes' | 'all' } | undefined
  /**
   * Treats a complete last WAL frame with a bad checksum as torn (STORE-6). Safe for a minority of the cluster only.
   */
  readonly discardSuspectTail?: boolean | undefined
  /** Backups that the cluster makes by itself: its leader, if it was started with this. */
  readonly backup?: ScheduledBackup | undefined
  readonly logger?: Logger | undefined
}

export interface ScheduledBackup {
  /** A directory, or s3://BUCKET/PREFIX; its backups may be those of other nodes of the cluster too. */
  readonly to: string
  /** Age of the newest backup at which the next one is made. */
  readonly everyMs: number
  /** Backups that are kept, at least 1. */
  readonly keep: number
}

/** Why a node ended. */
export interface NodeEnd {
  /** `failed`: it stopped itself for safety. The reason names the fault and the next step. */
  readonly kind: 'stopped' | 'crashed' | 'failed'
  readonly reason: string
  /** Whether it failed for its options: another start with them fails in the same way. */
  readonly usage?: boolean
}

/** A node that was started in this process. */
export interface RunningNode {
  /** Base URL of its HTTP API, without a trailing slash. */
  readonly url: string
  /** Base URLs of `metricsListen`. */
  readonly metricsUrls: readonly string[]
  /** host:port that peers dial. */
  readonly peer: string
  /** Transfers leadership, finishes requests in flight, flushes and closes. Never rejects: `ended` has the result. */
  stop(): Promise<void>
  /** Ends as if killed: flushes nothing and cuts all sockets. The directory can be opened again afterwards. */
  crash(): Promise<void>
  /** Reads the files of `tls` and `peerTls` now, as after a change. Files that do not fit are logged, not used. */
  rereadCertificates(): Promise<void>
  /** Opens the file of the audit log again, as after a program has moved it away. A node notices that by itself too. */
  reopenAuditLog(): void
  /** Resolves when the node has ended for any reason. */
  readonly ended: Promise<NodeEnd>
}

/** The node did not start, and nothing was changed. `usage`: the options are wrong. */
export class NodeStartError extends Error {
  override readonly name = 'NodeStartError'
  readonly usage: boolean

  constructor(message: string, { usage = false }: { usage?: boolean } = {}) {
    super(message)
    this.usage = usage
  }
}
