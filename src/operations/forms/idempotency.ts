// By what a change is known when it arrives again: a token, or a slot of an open session (`src/kv/client-sessions.ts`).
//
// The cluster applies a change at most once under its name, however often it is sent. A slot of a session costs it a
// third of what a token does (docs/reference/http.md). The revision of a token lets the cluster refuse a late copy
// whose outcome it has forgotten.

import type { Revision } from './store.ts'

export type Idempotency = IdempotencyToken | SessionSlot

export interface IdempotencyToken {
  /** 1–255 visible ASCII characters. */
  readonly token: string
  /**
   * The store's revision when the token was first sent, or an older one. The request is refused as expired when its
   * outcome may have been forgotten.
   */
  readonly since: Revision | undefined
}

export interface SessionSlot {
  /** The number of an open session. */
  readonly session: number
  /** From 0, below SESSION_SLOTS_MAX. A client uses it for one change at a time. */
  readonly slot: number
  /** From 1, below 2^48. Higher than that of all earlier changes under this slot. */
  readonly seq: number
}

/** Limit on the requests of a session in flight. */
export const SESSION_SLOTS_MAX = 4096

const TOKEN = /^[\x21-\x7e]{1,255}$/

export const isToken = (text: string): boolean => TOKEN.test(text)

/** Largest sequence number of a session slot. */
export const SEQ_MAX = 2 ** 48 - 1
