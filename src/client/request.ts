// How the client makes the fields of requests from the arguments of a caller.

import {
  asRevision,
  type Condition,
  type FreshnessOptions,
  type KeyRange,
  prefixRange,
  type Revision,
} from '../operations/forms/index.ts'
import { checkKeyLength } from './address.ts'
import { QuorateError } from './errors.ts'

/**
 * The bytes of a caller's key or value. They may be sent again and are compared with answers, so later changes of the
 * caller's buffer must not affect them.
 */
export const ownBytes = (value: string | Uint8Array): Buffer => Buffer.from(value as Uint8Array)

export function ownKey(key: string | Uint8Array): Buffer {
  const bytes = ownBytes(key)
  checkKeyLength(bytes)
  if (bytes.length > 0) return bytes
  throw new QuorateError('the key is empty', { code: 'key_empty', written: 'no' })
}

/** A range of a caller; all keys without a bound. */
export function ownRange({
  prefix,
  start,
  end,
}: {
  readonly [name in 'prefix' | 'start' | 'end']?: string | Uint8Array | undefined
}): KeyRange {
  if (prefix !== undefined) return prefixRange(ownBound(prefix))
  return {
    start: start === undefined ? NO_BYTES : ownBound(start),
    end: end === undefined ? undefined : ownBound(end),
  }
}

const NO_BYTES = new Uint8Array()

function ownBound(bound: string | Uint8Array): Buffer {
  const bytes = ownBytes(bound)
  checkKeyLength(bytes)
  return bytes
}

/** The condition that a key has this revision; undefined: none. */
export const revisionCondition = (revision: number | undefined): Condition | undefined =>
  revision === undefined ? undefined : { ifMatch: [asRevision(revision)], ifNoneMatch: undefined }

/** The condition that a key does not exist. */
export const ABSENT: Condition = { ifMatch: undefined, ifNoneMatch: 'any' }

export const asMaybeRevision = (revision: number | undefined): Revision | undefined =>
  revision === undefined ? undefined : asRevision(revision)

/** For requests that need no freshness. */
export const ANY_FRESHNESS: FreshnessOptions = {}
