// The operations that both transports carry: put, delete, get and a page of a range. requests.ts has their form as HTTP
// requests, messages.ts that on the multiplexed connection.

import { checkKeyLength } from './address.ts'
import { QuorateError } from './errors.ts'
import type { Consistency, DeleteResult, KvRecord, PutResult } from './types.ts'

export const PUT = 1
export const DELETE = 2
export const GET = 3
export const RANGE = 4

export interface PutOperation {
  readonly op: typeof PUT
  readonly key: Buffer
  readonly value: Buffer
  readonly ifRevision: number | undefined
  readonly ifAbsent: boolean
}

export interface DeleteOperation {
  readonly op: typeof DELETE
  readonly key: Buffer
  readonly ifRevision: number | undefined
}

export interface GetOperation extends Freshness {
  readonly op: typeof GET
  readonly key: Buffer
}

export interface RangeOperation extends Freshness, Range {
  readonly op: typeof RANGE
  readonly limit: number
  readonly after: Uint8Array | undefined
}

export interface Range {
  readonly prefix: Uint8Array | undefined
  readonly start: Uint8Array | undefined
  readonly end: Uint8Array | undefined
  readonly order: 'asc' | 'desc' | undefined
  readonly keysOnly: boolean
}

/** How fresh the answer to a read must be. */
export interface Freshness {
  readonly consistency: Consistency | undefined
  readonly maxStalenessMs: number | undefined
  /** 0: any. */
  readonly minRevision: number
}

export type Operation = PutOperation | DeleteOperation | GetOperation | RangeOperation

/** What the caller of an operation gets. */
export type Result = PutResult | DeleteResult | KvRecord | undefined

export const isChange = ({ op }: Operation): boolean => op === PUT || op === DELETE

/**
 * The bytes of a caller's key or value. They may be sent again and are compared with answers, so later changes of the
 * caller's buffer must not affect them.
 */
export const ownBytes = (value: string | Uint8Array): Buffer => Buffer.from(value as Uint8Array)

export function ownKey(key: string | Uint8Array): Buffer {
  const bytes = ownBytes(key)
  checkKeyLength(bytes)
  if (bytes.length > 0) return bytes
  throw new QuorateError('a key has at least one byte', { code: 'key_empty', written: 'no' })
}
