// The store that a load is sent to.

import type { Consistency } from './load.ts'

/** Each call rejects unless the answer is a success. */
export interface Target {
  put(key: string, value: Uint8Array): Promise<void>
  /** The key has this revision; 0: it does not exist. Resolves with its new one. */
  update(key: string, value: Uint8Array, revision: number): Promise<number>
  get(key: string, consistency: Consistency): Promise<void>
  /** Up to `limit` keys, from this one on. */
  range(start: string, limit: number, consistency: Consistency): Promise<void>
  close(): void | Promise<void>
}
