// Write ids. The cluster applies a write at most once under its id, however often it is sent. An id is a token, or a
// slot of a session, which costs the cluster a third (docs/reference/http.md). A client with many writes opens a
// session, and uses tokens until it has one.
//
// A token says since which revision it is in use, so the cluster refuses a late copy whose outcome it has forgotten.
// The first write of a client knows no revision, so its token goes without one. It is sent again only for a short time
// (UNDATED_RETRY_MS in retry-policy.ts).

import { randomBytes } from 'node:crypto'

/** Share of the age at which the cluster forgets a session, during which it is used. The last writes need time too. */
const AGE_SHARE = 0.5
/** Pause after a session could not be opened. */
const OPEN_AGAIN_MS = 10_000
/** Last sequence number of a slot. The slot is not used again after it. */
const SEQ_MAX = 2 ** 48 - 1

/** `since`: the revision since which the token is in use; undefined: the client knew none. */
type Token = readonly [token: string, since: number | undefined]
type Slot = readonly [session: number, slot: number, seq: number]
export type WriteId = Token | Slot

export const isSlot = (writeId: WriteId): writeId is Slot => writeId.length === 3

/** Whether the cluster can tell a late copy of the write from a new write. */
export const isDated = (writeId: WriteId): boolean => isSlot(writeId) || writeId[1] !== undefined

/** The session in use. */
interface Session {
  readonly number: number
  readonly slots: number
  /** A time of `performance.now()`. */
  readonly useUntil: number
  /** Last sequence number of each slot that was used. */
  readonly seqs: number[]
  readonly free: number[]
}

export class WriteIds {
  /** Prefix of the tokens of this client: 128 random bits, so no two clients share one. */
  readonly #prefix = randomBytes(16).toString('base64url')
  #count = 0
  #session: Session | undefined
  #openAt = 0

  /** `revision`: the highest revision that the client has seen. 0 is unknown: a node that joins answers it. */
  token(revision: number): Token {
    return [`${this.#prefix}-${++this.#count}`, revision === 0 ? undefined : revision]
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

  /** The write has ended. The next write of its slot makes the cluster refuse copies that arrive later. */
  release(writeId: WriteId): void {
    if (!isSlot(writeId) || writeId[0] !== this.#session?.number || writeId[2] === SEQ_MAX) return
    this.#session.free.push(writeId[1])
  }

  /** Whether a session must be opened now. Returns true once until `opened` is called or a pause has passed. */
  shouldOpen(nowMs: number): boolean {
    if (nowMs < this.#openAt) return false
    this.#openAt = nowMs + OPEN_AGAIN_MS
    return true
  }

  /** `askedAt`: time of the request. The age that the cluster counts began later. */
  opened({ session, age_ms: ageMs, slots }: OpenedSession, askedAt: number): void {
    const useUntil = askedAt + ageMs * AGE_SHARE
    this.#session = { number: session, slots, useUntil, seqs: [], free: [] }
    this.#openAt = useUntil
  }

  /** The cluster has forgotten the session of this write id. */
  forgotten(writeId: WriteId): void {
    if (!isSlot(writeId) || writeId[0] !== this.#session?.number) return
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

/** Header that carries a write id over HTTP. */
export const writeIdHeader = (writeId: WriteId): Readonly<Record<string, string>> =>
  isSlot(writeId)
    ? { 'Kv-Session': `${writeId[0]};slot=${writeId[1]};seq=${writeId[2]}` }
    : { 'Idempotency-Key': writeId[1] === undefined ? writeId[0] : `${writeId[0]};since=${writeId[1]}` }
