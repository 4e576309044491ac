// The store that a load is sent to.

import type { Consistency } from './load.ts'

/** Each call rejects unless the answer is a success. */
export interface Target {
  put(key: string, value: Uint8Array): Promise<void>
  get(key: string, consistency: Consistency): Promise<void>
  /** Up to `limit` keys, from this one on. */
  range(start: string, limit: number, consistency: Consistency): Promise<void>
  close(): void | Promise<void>
}
