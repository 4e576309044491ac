// The API of one node: what all wires share.

import { ApiError } from '../../operations/forms/index.ts'
import { StorageClosedError, StorageFailedError } from '../../storage/index.ts'
import { asError } from '../../system/errors.ts'
import type { KvNode } from '../node/kv-node.ts'
import type { Audit } from './audit.ts'
import { Authenticator } from './authenticator.ts'
import { InboundBudget, OutboundBudget } from './budget.ts'
import type { ApiLimits } from './limits.ts'
import { Ranges } from './ranges.ts'
import { SessionShares } from './session-shares.ts'
import { WatchBuffers } from './watch.ts'

interface ApiOptions {
  readonly node: KvNode
  readonly limits: ApiLimits
  /** Version of the program. */
  readonly version: string
  /** undefined: there is no audit log. */
  readonly audit?: Audit | undefined
  /** Receives every error that is not the client's fault. */
  readonly failed: (error: Error) => void
}

/** The API of one node: its budgets, which all wires share, and the node. */
export class Api {
  readonly node: KvNode
  readonly limits: ApiLimits
  readonly version: string
  readonly inbound: InboundBudget
  /** Requests of connections on which no user is known, while rights are checked. */
  readonly #inboundOfUnauthenticated: InboundBudget
  readonly outbound: OutboundBudget
  /** Answers to clients without a user, while rights are checked. */
  readonly outboundOfUnauthenticated: OutboundBudget
  readonly ranges: Ranges
  readonly watchBuffers: WatchBuffers
  readonly authenticator: Authenticator
  readonly sessions: SessionShares
  readonly audit: Audit | undefined
  readonly #failed: (error: Error) => void

  constructor({ node, limits, version, audit, failed }: ApiOptions) {
    this.audit = audit
    this.node = node
    this.limits = limits
    this.version = version
    this.#failed = failed
    this.inbound = new InboundBudget(limits.bodiesBytesMax)
    this.#inboundOfUnauthenticated = new InboundBudget(limits.unauthenticatedBytesMax)
    this.outbound = new OutboundBudget(limits.answersBytesMax)
    this.outboundOfUnauthenticated = new OutboundBudget(limits.unauthenticatedBytesMax, this.outbound.turns)
    this.ranges = new Ranges(node, limits, this.outbound)
    this.watchBuffers = new WatchBuffers(limits)
    this.authenticator = new Authenticator(node, limits.authTokenMs)
    this.sessions = new SessionShares(node)
  }

  /** The budget of a connection on which no user is known. */
  get inboundOfUnauthenticated(): InboundBudget {
    return this.node.auth.enabled ? this.#inboundOfUnauthenticated : this.inbound
  }

  get unauthenticatedBytes(): number {
    return this.#inboundOfUnauthenticated.bytes + this.outboundOfUnauthenticated.bytes
  }

  /** The error that a client receives for `error`. Reports what is not the client's fault. */
  toApiError(error: unknown, written: 'no' | 'unknown' = 'no'): ApiError {
    if (error instanceof ApiError) return error
    // Only reads meet these errors here. The node ends with them, and reports the reason.
    if (error instanceof StorageFailedError || error instanceof StorageClosedError)
      return new ApiError('not_ready', error.message)
    const failure = asError(error)
    this.#failed(failure)
    return new ApiError('internal', failure.message, { written })
  }
}
