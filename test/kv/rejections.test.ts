// Replicas of different versions must hold the same rows. So the position of a reason, which is its byte, never
// changes; the sentence is not stored.

import { expect, test } from 'vitest'
import { REASONS, rejection, rejectionText } from '../../src/kv/rejections.ts'
import { rev } from './store.ts'

test.each([
  ['empty-key', 'bad_request', 'empty key'],
  ['key-too-long', 'key_too_long', 'key of 7 bytes, at most 5'],
  ['value-too-large', 'value_too_large', 'value of 7 bytes, at most 5'],
  ['store-full', 'storage_full', 'the store would hold more than 7 bytes'],
  [
    'setting-out-of-range',
    'bad_request',
    'clusterVersion must be a whole number from 1 to 4294967295, not 5',
  ],
  ['prev-with-token', 'bad_request', 'values are not kept'],
  ['token-reused', 'idempotency_key_reused', 'was used for another request'],
  ['token-expired', 'idempotency_expired', 'up to revision 7 are forgotten; this token is in use since 5'],
  ['since-ahead', 'bad_request', 'since revision 7, but the store is at revision 5'],
  ['session-expired', 'idempotency_expired', 'session 7 is not open'],
  ['seq-passed', 'idempotency_expired', 'slot 7 of this session has gone on to request 5'],
  ['slot-out-of-range', 'bad_request', 'the slots 0 to 5, not 7'],
  ['lease-not-found', 'lease_not_found', 'there is no lease 30064771077'],
  ['lease-exists', 'lease_exists', 'there is a lease 30064771077 already'],
  ['lease-owned', 'bad_request', 'lease 30064771077 was made by a put with ttl'],
  ['lease-full', 'range_too_large', 'a lease has at most 7 keys, and 5 bytes of keys'],
  ['leases-full', 'storage_full', 'there are 7 leases, and the store has at most 5'],
  ['ttl-out-of-range', 'bad_request', 'a lease lives from 1 s to 3650 days, not 7 ms'],
  ['rights-changed', 'permission_denied', 'rights were changed (auth revision 7) after'],
  ['auth-changed', 'precondition_failed', 'the auth revision is 7, not 5'],
  ['no-such-user', 'not_found', 'there is no such user'],
  ['no-such-role', 'not_found', 'there is no such role'],
  ['unknown-role', 'bad_request', 'make it first'],
  ['root-needed', 'bad_request', 'the user root'],
  ['no-such-key', 'not_found', 'neither a value nor a lease to keep'],
  ['store-not-empty', 'bad_request', 'only the revision of a store without keys can be raised'],
  ['revision-passed', 'bad_request', 'revisions never fall'],
  ['auth-too-large', 'storage_full', 'users and roles would take 7 bytes, at most 5'],
] as const)('%s', (reason, code, text) => {
  const refusal = rejection(rev(1), reason, [7, 5])
  expect(refusal).toEqual({ kind: 'refused', revision: 1, code, reason, numbers: [7, 5] })
  expect(rejectionText(refusal)).toContain(text)
})

test('reasons keep their bytes', () => {
  expect(REASONS).toEqual([
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
  ])
})
