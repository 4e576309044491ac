// The tokens that clients have used at this node. As in etcd, each use prolongs a token by its whole life, and an open
// watch is a use. So a client that logs in once is served for as long as it does something.
//
// A use is known to this node only, until it ends: it is no change of the store. At another node a token ends at the
// time that is signed in it, or a life after its last use there. A client without a password to log in with again
// should stay with one node. A new password ends all tokens of its user everywhere, used or not.

import type { AuthState } from '../../kv/index.ts'
import { ByNetwork } from '../by-network.ts'
import { type AuthTokenFacts, verifyAuthToken } from './auth-tokens.ts'

/** Tokens that are remembered. Beyond, the user who has most of them loses the one that was used longest ago. */
const TOKENS_MAX = 10_000
/** Uses within this interval count as one for the order of the tokens. */
const ORDERED_EVERY_MS = 1_000

/** One token: the facts in it, and how long it lives because it is used. */
export class UsedToken {
  readonly user: string
  readonly epoch: number
  readonly #lifeMs: number
  #endsAt: number
  #holders = 0

  constructor({ user, epoch, endsAt }: AuthTokenFacts, lifeMs: number) {
    this.user = user
    this.epoch = epoch
    this.#endsAt = endsAt
    this.#lifeMs = lifeMs
  }

  get isOver(): boolean {
    return this.#holders === 0 && this.#endsAt <= Date.now()
  }

  /** Prolongs it, unless it is over. */
  use(): void {
    const now = Date.now()
    if (this.#endsAt > now || this.#holders > 0) this.#endsAt = Math.max(this.#endsAt, now + this.#lifeMs)
  }

  /** A watch uses it until the returned function is called. */
  hold(): () => void {
    let isHeld = true
    this.#holders++
    return () => {
      if (!isHeld) return
      isHeld = false
      this.use()
      this.#holders--
    }
  }
}

const isValid = ({ user, epoch, isOver }: UsedToken, { users }: AuthState): boolean =>
  !isOver && users.get(user)?.epoch === epoch

interface KnownToken {
  readonly token: UsedToken
  /** When it was put last in the order of the tokens of its user. */
  orderedAt: number
}

export class UsedTokens {
  readonly #lifeMs: number
  readonly #known = new Map<string, KnownToken>()
  /** By their users. The one used longest ago is first. */
  readonly #byUser = new ByNetwork<string>()
  /** The key with which the known ones are signed. */
  #key: Uint8Array | undefined

  /** `lifeMs`: how long a token lives after a use. */
  constructor(lifeMs: number) {
    this.#lifeMs = lifeMs
  }

  get size(): number {
    return this.#known.size
  }

  /** The token if it is valid now, which is a use of it; otherwise why it is not. */
  use(text: string, state: AuthState): UsedToken | { readonly fault: string } {
    const { tokenKey } = state.keys
    if (this.#key !== tokenKey) this.#keyChanged(tokenKey)
    const known = this.#known.get(text)
    if (known !== undefined && !isValid(known.token, state)) this.#forget(text, known.token)
    else if (known !== undefined) {
      known.token.use()
      this.#order(text, known)
      return known.token
    }
    const facts = verifyAuthToken(text, state, Date.now())
    if ('fault' in facts) return facts
    const token = new UsedToken(facts, this.#lifeMs)
    token.use()
    const added = { token, orderedAt: 0 }
    this.#known.set(text, added)
    this.#order(text, added)
    if (this.#known.size > TOKENS_MAX) this.#forgetOne()
    return token
  }

  /** Another key ends all tokens. A snapshot brings a copy of the same one. */
  #keyChanged(key: Uint8Array): void {
    const isSame = this.#key !== undefined && Buffer.compare(this.#key, key) === 0
    this.#key = key
    if (isSame) return
    for (const [text, { token }] of this.#known) this.#forget(text, token)
  }

  #order(text: string, known: KnownToken): void {
    const now = performance.now()
    if (known.orderedAt !== 0 && now - known.orderedAt < ORDERED_EVERY_MS) return
    known.orderedAt = now
    const { user } = known.token
    this.#byUser.delete(user, text)
    this.#byUser.set(user, text)
  }

  #forgetOne(): void {
    const [text] = this.#byUser.largest()
    const known = text === undefined ? undefined : this.#known.get(text)
    if (text !== undefined && known !== undefined) this.#forget(text, known.token)
  }

  #forget(text: string, { user }: UsedToken): void {
    this.#known.delete(text)
    this.#byUser.delete(user, text)
  }
}
