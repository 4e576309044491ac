// The identity of a write: by it the cluster applies the write at most once, however often it is sent. It is a token,
// or a slot of a session, which costs the cluster a third (docs/reference/http.md). A client that makes many writes
// opens a session, and uses tokens until it has one.

import { randomBytes } from 'node:crypto'

/** The revision of an empty store. A node that is joining and has no data yet answers 0. */
const FIRST_REVISION = 1
/** A session is used for this share of the time after which the cluster forgets it. The last writes need time too. */
const AGE_SHARE = 0.5
/** After a session could not be opened, the next try is made after this time. */
const OPEN_AGAIN_MS = 10_000
/** The last number of a slot; the slot is then not used again. */
const SEQ_MAX = 2 ** 48 - 1

/** `since`: the revision since which the token is in use. */
type Token = readonly [token: string, since: number]
type Slot = readonly [session: number, slot: number, seq: number]
export type WriteId = Token | Slot

export const isSlot = (identity: WriteId): identity is Slot => identity.length === 3

/** A session that is in use. */
interface Session {
  readonly number: number
  readonly slots: number
  /** By `performance.now()`. */
  readonly useUntil: number
  /** The last number of each slot that was used. */
  readonly seqs: number[]
  readonly free: number[]
}

export class WriteIds {
  /** Identifies this client: 128 random bits, so that no two clients share one. */
  readonly #prefix = randomBytes(16).toString('base64url')
  #count = 0
  #session: Session | undefined
  #openAt = 0

  /** `revision`: the highest revision that the client has seen. */
  token(revision: number): Token {
    return [`${this.#prefix}-${++this.#count}`, Math.max(FIRST_REVISION, revision)]
  }

  /** A free slot of the session, or a token. `release` must be called when the write has ended. */
  next(revision: number): WriteId {
    const session = this.#session
    const slot = session?.free.pop() ?? session?.seqs.length ?? 0
    if (session === undefined || slot >= session.slots) return this.token(revision)
    const seq = (session.seqs[slot] ?? 0) + 1
    session.seqs[slot] = seq
    return [session.number, slot, seq]
  }

  /** The write has ended, and its outcome is told: copies of it that are still under way are refused from now on. */
  release(identity: WriteId): void {
    if (!isSlot(identity) || identity[0] !== this.#session?.number || identity[2] === SEQ_MAX) return
    this.#session.free.push(identity[1])
  }

  /** Whether a session is to be opened now. Then it is not asked for again until `opened` or some time has passed. */
  shouldOpen(nowMs: number): boolean {
    if (nowMs < this.#openAt) return false
    this.#openAt = nowMs + OPEN_AGAIN_MS
    return true
  }

  /** `askedAt`: when it was asked for; the age that the cluster knows began later. */
  opened({ session, age_ms: ageMs, slots }: OpenedSession, askedAt: number): void {
    const useUntil = askedAt + ageMs * AGE_SHARE
    this.#session = { number: session, slots, useUntil, seqs: [], free: [] }
    this.#openAt = useUntil
  }

  /** The cluster has forgotten the session of this identity. */
  forgotten(identity: WriteId): void {
    if (!isSlot(identity) || identity[0] !== this.#session?.number) return
    this.#session = undefined
    this.#openAt = 0
  }
}

/** The answer of a node to `POST /v1/sessions`. */
export interface OpenedSession {
  readonly session: number
  readonly age_ms: number
  readonly slots: number
}

/** The header that carries an identity over HTTP. */
export const writeIdHeader = (identity: WriteId): Readonly<Record<string, string>> =>
  isSlot(identity)
    ? { 'Kv-Session': `${identity[0]};slot=${identity[1]};seq=${identity[2]}` }
    : { 'Idempotency-Key': `${identity[0]};since=${identity[1]}` }
