// The shares of users in the sessions of the cluster, as this node knows them. The cluster forgets the oldest session
// beyond its limit, whoever has opened it. So a user may have at most as many sessions as are free: the dynamic
// threshold of Choudhury and Hahne (1998). One user leaves half of the sessions free, two leave a third.
//
// A node counts the sessions that it has opened since it started. A user who opens sessions through several nodes may
// have more, and leaves fewer of them free. While rights are not checked, addresses stand for users.

import { CLIENT_SESSIONS_MAX } from '../../kv/client-sessions.ts'
import { ApiError } from '../../operations/forms/index.ts'
import type { KvNode } from '../node/kv-node.ts'
import type { Call } from './call.ts'

/** Limit on the sessions that a user is opening at a time: other nodes learn of them only when they are open. */
const OPENING_MAX = 64

interface Share {
  opening: number
  /** Sessions that the cluster has not forgotten. */
  open: number
}

export class SessionShares {
  readonly #node: Pick<KvNode, 'clientSessions'>
  readonly #shares = new Map<string, Share>()
  /** The user of each session, about in their order. */
  readonly #openedBy = new Map<number, string>()

  constructor(node: Pick<KvNode, 'clientSessions'>) {
    this.#node = node
  }

  /** Counts a session that is being opened. Throws `ApiError` beyond the share of its user. */
  begin(user: string): void {
    const { next, horizon } = this.#node.clientSessions
    this.#forgetBelow(horizon)
    const share = this.#shares.get(user) ?? { opening: 0, open: 0 }
    const free = CLIENT_SESSIONS_MAX - (next - horizon)
    if (share.opening >= OPENING_MAX || share.opening + share.open >= free)
      throw new ApiError(
        'overloaded',
        `${share.open} sessions are open here for ${user}, and ${free} are free`,
      )
    share.opening++
    this.#shares.set(user, share)
  }

  /** `session`: undefined if it was not opened, or nobody knows. */
  end(user: string, session: number | undefined): void {
    const share = this.#shares.get(user)
    if (share === undefined) return
    share.opening--
    if (session !== undefined) {
      share.open++
      this.#openedBy.set(session, user)
    }
    this.#forgetIfEmpty(user, share)
  }

  #forgetBelow(horizon: number): void {
    for (const [session, user] of this.#openedBy) {
      if (session >= horizon) return
      this.#openedBy.delete(session)
      const share = this.#shares.get(user)
      if (share === undefined) continue
      share.open--
      this.#forgetIfEmpty(user, share)
    }
  }

  #forgetIfEmpty(user: string, { opening, open }: Share): void {
    if (opening + open === 0) this.#shares.delete(user)
  }
}

/** The name under which the sessions of a call are counted. */
export const sharerOf = (call: Pick<Call, 'permit' | 'origin'>): string =>
  call.permit === undefined
    ? `the address ${call.origin?.().address.replace(/:\d+$/, '')}`
    : `user ${JSON.stringify(call.permit.principal.user)}`
