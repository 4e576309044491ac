// Why apply refuses a request. A refusal is stored, and compared between replicas, as a reason and two numbers. The
// code of the answer follows from the reason. The node that answers makes the sentence, so a sentence can be reworded
// without making replicas differ.

import { assertNever } from '../bytes/index.ts'
import { type LeaseId, type Revision, TTL_MS_MAX, TTL_MS_MIN } from '../operations/forms/index.ts'
import { SETTING_LIMITS } from '../operations/forms/settings.ts'
import { findSetting } from './settings.ts'
import type { Reason, RefusalCode, Rejection } from './types.ts'

/** A reason is stored as its position in this list: append only. */
export const REASONS: readonly Reason[] = [
  'empty-key',
  'key-too-long',
  'value-too-large',
  'store-full',
  'setting-out-of-range',
  'prev-with-token',
  'token-reused',
  'token-expired',
  'since-ahead',
  'session-expired',
  'seq-passed',
  'slot-out-of-range',
  'compacted',
  'future-revision',
  'duplicate-key',
  'too-many-operations',
  'too-deep',
  'range-too-large',
  'records-too-large',
  'lease-not-found',
  'lease-exists',
  'lease-owned',
  'lease-full',
  'leases-full',
  'ttl-out-of-range',
  'rights-changed',
  'auth-changed',
  'no-such-user',
  'no-such-role',
  'unknown-role',
  'root-needed',
  'auth-too-large',
  'too-many-token-users',
  'no-such-key',
  'cluster-version-lowered',
  'store-not-empty',
  'revision-passed',
]

const CODES: Readonly<Record<Reason, RefusalCode>> = {
  'empty-key': 'bad_request',
  'key-too-long': 'key_too_long',
  'value-too-large': 'value_too_large',
  'store-full': 'storage_full',
  'setting-out-of-range': 'bad_request',
  'prev-with-token': 'bad_request',
  'token-reused': 'idempotency_key_reused',
  'token-expired': 'idempotency_expired',
  'since-ahead': 'bad_request',
  'session-expired': 'idempotency_expired',
  'seq-passed': 'idempotency_expired',
  'slot-out-of-range': 'bad_request',
  compacted: 'compacted',
  'future-revision': 'future_revision',
  'duplicate-key': 'duplicate_key',
  'too-many-operations': 'too_many_operations',
  'too-deep': 'too_many_operations',
  'range-too-large': 'range_too_large',
  'records-too-large': 'range_too_large',
  'lease-not-found': 'lease_not_found',
  'lease-exists': 'lease_exists',
  'lease-owned': 'bad_request',
  'lease-full': 'range_too_large',
  'leases-full': 'storage_full',
  'ttl-out-of-range': 'bad_request',
  'rights-changed': 'permission_denied',
  'auth-changed': 'precondition_failed',
  'no-such-user': 'not_found',
  'no-such-role': 'not_found',
  'unknown-role': 'bad_request',
  'root-needed': 'bad_request',
  'auth-too-large': 'storage_full',
  'too-many-token-users': 'idempotency_key_reused',
  'no-such-key': 'not_found',
  'cluster-version-lowered': 'bad_request',
  'store-not-empty': 'bad_request',
  'revision-passed': 'bad_request',
}

/** The id of a lease as the numbers of a refusal: each is 32 bits. */
export function leaseNumbers(id: LeaseId): Rejection['numbers'] {
  const bits = BigInt(id)
  return [Number(bits >> 32n), Number(bits & 0xffff_ffffn)]
}

const leaseInNumbers = (high: number, low: number): string => `${(BigInt(high) << 32n) | BigInt(low)}`

const keysInNumbers = (keys: number, bytes: number): string =>
  `${keys} keys (range_keys_max), or ${bytes} bytes of keys (range_bytes_max)`

/** `numbers`: the numbers in the sentence (`refusalText`). */
export const rejection = (
  revision: Revision,
  reason: Reason,
  numbers: Rejection['numbers'] = [0, 0],
): Rejection => ({
  kind: 'refused',
  revision,
  code: CODES[reason],
  reason,
  numbers,
})

/** The message to the client about the fault. */
export function rejectionText({ reason, numbers: [first, second] }: Rejection): string {
  switch (reason) {
    case 'empty-key':
      return 'empty key'
    case 'key-too-long':
      return `key of ${first} bytes, at most ${second} (key_bytes_max)`
    case 'value-too-large':
      return `value of ${first} bytes, at most ${second} (value_bytes_max)`
    case 'store-full':
      // How much it would hold shows the size of the old value.
      return `the store would hold more than ${first} bytes (store_bytes_max)`
    case 'setting-out-of-range': {
      const name = findSetting(first)
      const { min, max } = SETTING_LIMITS[name]
      return `${name} must be a whole number from ${min} to ${max}, not ${second}`
    }
    case 'prev-with-token':
      return 'the row before cannot be requested under an idempotency token: values are not kept'
    case 'token-reused':
      return 'this idempotency token was used for another request'
    case 'token-expired':
      return `outcomes up to revision ${first} are forgotten; this token is in use since ${second}`
    case 'since-ahead':
      return `this token claims to be in use since revision ${first}, but the store is at revision ${second}`
    case 'session-expired':
      return `session ${first} is not open: it was never opened, or it is forgotten`
    case 'seq-passed':
      return `slot ${first} of this session has gone on to request ${second}: the outcome of this one is forgotten`
    case 'slot-out-of-range':
      return `a session has the slots 0 to ${second}, not ${first}`
    case 'compacted':
      return `revision ${first} is compacted: the store can be read from revision ${second} on`
    case 'future-revision':
      return `the store is at revision ${second}, not yet at ${first}`
    case 'duplicate-key':
      return 'a key is changed twice in one branch of the transaction'
    case 'too-many-operations':
      return `a transaction has at most ${first} comparisons, and operations in each branch, with those of nested ones`
    case 'too-deep':
      return `transactions are nested ${second} deep at most`
    case 'range-too-large':
      return `the ranges have more than ${keysInNumbers(first, second)}`
    case 'records-too-large':
      return `the transaction may read ${first} bytes of keys and values, at most ${second}: limit, keys_only and count_only read fewer`
    case 'lease-not-found':
      return `there is no lease ${leaseInNumbers(first, second)}: it has expired, was revoked, or never was`
    case 'lease-exists':
      return `there is a lease ${leaseInNumbers(first, second)} already`
    case 'lease-owned':
      return `lease ${leaseInNumbers(first, second)} was made by a put with ttl, and has no other key than that one`
    case 'lease-full':
      return `a lease has at most ${first} keys, and ${second} bytes of keys`
    case 'leases-full':
      return `there are ${first} leases, and the store has at most ${second} (leases_max)`
    case 'ttl-out-of-range':
      return `a lease lives from ${TTL_MS_MIN / 1000} s to ${TTL_MS_MAX / 86_400_000} days, not ${first} ms`
    case 'rights-changed':
      return `rights were changed (auth revision ${first}) after this request was permitted (${second})`
    case 'auth-changed':
      return `the auth revision is ${first}, not ${second}`
    case 'no-such-user':
      return 'there is no such user'
    case 'no-such-role':
      return 'there is no such role'
    case 'unknown-role':
      return 'there is no role of one of these names: make it first'
    case 'root-needed':
      return 'the user root, with the role root and a password or a certificate, is needed while rights are checked'
    case 'auth-too-large':
      return `users and roles would take ${first} bytes, at most ${second}`
    case 'too-many-token-users':
      return `${first} users have used this idempotency token: choose a random one`
    case 'no-such-key':
      return 'the key of a put does not exist, so it has neither a value nor a lease to keep'
    case 'cluster-version-lowered':
      return `the cluster is at cluster version ${first}, which is never lowered, not to ${second} either`
    case 'store-not-empty':
      return `the store has ${first} keys: only the revision of a store without keys can be raised`
    case 'revision-passed':
      return `the store is at revision ${first} already, which is above ${second}: revisions never fall`
    default:
      return assertNever(reason, 'reason')
  }
}
