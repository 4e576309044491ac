// The types of leases and sessions.

import type { CallOptions, PutOptions, PutResult } from './types.ts'

export interface NewLease {
  /** From a second to ten years. Less than twice the election timeout of the cluster is raised to that. */
  readonly ttlMs: number
  /** From 1 to 2^63 - 1, as decimal digits. Unless given, the cluster chooses one. */
  readonly id?: string | undefined
}

export interface GrantedLease {
  readonly id: string
  /** The time to live that was granted. */
  readonly ttlMs: number
}

export interface KeptLease {
  readonly id: string
  /** Time to live from some time after the call began; undefined: there is no such lease. */
  readonly ttlMs: number | undefined
}

export interface LeaseInfo {
  readonly id: string
  readonly grantedTtlMs: number
  /** Time until it ends without a keep-alive, as the leader knows it; at most `grantedTtlMs`. */
  readonly remainingTtlMs: number
}

export interface LeaseOptions extends CallOptions {
  /** With the keys that are attached to it. */
  readonly keys?: boolean | undefined
}

export interface RevokedLease {
  /** Keys that the lease had, all of which are deleted. */
  readonly deleted: number
  readonly revision: number
}

export interface SessionOptions extends CallOptions {
  /** Time to live of the granted lease. Default 10,000. */
  readonly ttlMs?: number | undefined
  /** An existing lease, to be kept alive from now on. Not together with `ttlMs`. */
  readonly lease?: string | undefined
}

/** A lease that the client keeps alive until `close`. */
export interface Session {
  /** The id of the lease. */
  readonly lease: string
  /** Its time to live. */
  readonly ttlMs: number
  /**
   * Fires before the lease can have ended, by the clock of this machine, or when it is known to have ended. Its reason
   * is a `SessionLostError`.
   */
  readonly signal: AbortSignal
  /** Time for which the lease certainly exists; 0: it may have ended. */
  readonly leftMs: number
  /**
   * Throws a `SessionLostError` if the lease may have ended. It reads the clock, so it is right also when the process
   * has just resumed after a stop, and no timer has run yet.
   */
  throwIfLost(): void
  /** Puts a key that is deleted when the lease ends. */
  put(
    key: string | Uint8Array,
    value: string | Uint8Array,
    options?: Omit<PutOptions, 'lease' | 'ttlMs'>,
  ): Promise<PutResult>
  /**
   * Revokes the lease, which deletes its keys. false: no node has confirmed it in time. Then the client tries again in
   * the background until the lease has ended, or until the client is closed. Another call waits for that.
   */
  close(options?: CallOptions): Promise<boolean>
  [Symbol.asyncDispose](): Promise<void>
}
