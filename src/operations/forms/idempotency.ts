// By what a change is known when it arrives again.

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
