// Keys of locks and elections, as etcd's package `concurrency` lays them out: the name, a slash, and the lease of the
// client in hexadecimal. The oldest key under a name has what is waited for. Programs that use that package share them.

import { randomBytes } from 'node:crypto'
import { encodeUtf8 } from '../../bytes/index.ts'
import type { KeyValue } from '../../etcd/messages/kv.ts'
import { GRPC, GrpcError } from '../../etcd/status.ts'
import {
  ApiError,
  compareKeys,
  type KeyRange,
  type KeyRow,
  type LeaseId,
  prefixEnd,
  type Revision,
} from '../../operations/forms/index.ts'
import type { KvTxn } from '../../operations/index.ts'
import type { EtcdCall } from './call.ts'
import { decodeKey, decodeLeaseId, encodeLeaseId, encodeRow } from './fields.ts'
import { checkWaiting, waitForChange } from './first-change.ts'
import { readAll } from './range-reading.ts'

/** The lease of a client without one, as long as etcd's. Nobody keeps it alive. */
const LEASE_MS = 60_000

export interface LeaseKey {
  readonly key: Uint8Array
  readonly lease: LeaseId
  /** The revision at which its key was made. */
  readonly revision: Revision
  /** The revision of the store when its client asked for it. */
  readonly requestedAt: Revision
}

/**
 * Makes the key of a client, and waits until all older ones are gone. The same lease finds its key again. Rejects as
 * soon as nobody waits for it any more, and removes the key then. `value`: undefined: whatever it is.
 */
export async function acquire(
  name: Uint8Array,
  lease: bigint,
  value: Uint8Array | undefined,
  expired: GrpcError,
  call: EtcdCall,
): Promise<LeaseKey> {
  const isOwnLease = lease === 0n
  const id = isOwnLease ? newLeaseId() : decodeLeaseId(lease)
  const key = keyOf(name, id)
  if (isOwnLease) await grantFor(name, key, id, call)
  let entered: Entered | undefined
  let hasWaited = false
  try {
    checkWaiting(call)
    entered = await enter(key, id, value, call)
    const { candidate, before } = entered
    const isReplaced = before !== undefined && value !== undefined && compareKeys(before.value, value) !== 0
    if (isReplaced && !(await replaceValue(candidate, value, call))) throw expired
    for (;;) {
      checkWaiting(call)
      // A client that may no longer write the key would hold what it cannot give back.
      if (hasWaited) await call.check(deleting(key))
      const { isThere, newest, readAt } = await findOlder(name, candidate, call)
      if (!isThere) throw expired
      if (newest === undefined) break
      hasWaited = true
      await waitForChange({ key: newest }, readAt, 'delete', call)
    }
    checkWaiting(call)
    return candidate
  } catch (error) {
    // A key of this lease that was there before: its client may hold what it has asked for again.
    const isHeld = entered?.before?.lease === id && !hasWaited
    if (isOwnLease) await withdrawn(call.endLease(id), error, call)
    else if (entered !== undefined && !isHeld) await withdrawn(leave(entered, call), error, call)
    throw error
  }
}

/** The lease of a client without one has an id before it is granted: it can be ended although no answer arrives. */
const newLeaseId = (): LeaseId => decodeLeaseId((randomBytes(8).readBigUInt64BE() >> 1n) | 1n)

/** Rejects with `ApiError` before there is a lease, if the client may not make the key, or not read the others. */
async function grantFor(name: Uint8Array, key: Uint8Array, id: LeaseId, call: EtcdCall): Promise<void> {
  await call.check(deleting(key))
  await call.check({ kind: 'range', range: candidatesOf(name), freshness: {} })
  checkWaiting(call)
  try {
    await call.execute({ kind: 'grant', id, ttlMs: LEASE_MS, idempotency: undefined })
  } catch (error) {
    // It may be granted nevertheless.
    if (isUnknown(error)) await withdrawn(call.endLease(id), error, call)
    throw error
  }
}

/** The operation that demands the rights of a client on its key. */
const deleting = (key: Uint8Array) =>
  ({ kind: 'delete', key, condition: undefined, prev: true, idempotency: undefined }) as const

const isUnknown = (error: unknown): boolean => error instanceof ApiError && error.code === 'outcome_unknown'

/** A client whose request the store has not answered in time does not wait as long again. */
const withdrawn = async (work: Promise<void>, error: unknown, call: EtcdCall): Promise<void> =>
  isUnknown(error) ? undefined : call.untilLate(work)

interface Entered {
  readonly candidate: LeaseKey
  /** Its key, if it was there before. */
  readonly before: KeyRow | undefined
}

async function enter(
  key: Uint8Array,
  id: LeaseId,
  value: Uint8Array | undefined,
  call: EtcdCall,
): Promise<Entered> {
  const { succeeded, revision, results } = await commit(
    {
      compare: [isMadeAt(key, 0)],
      success: [{ kind: 'put', key, value: value ?? NO_VALUE, prev: false, lease: { id } }],
      failure: [{ kind: 'get', where: { key }, limit: 1, keysOnly: false, count: false, countOnly: false }],
    },
    call,
  )
  const made = { key, lease: id, requestedAt: revision }
  if (succeeded) return { candidate: { ...made, revision }, before: undefined }
  const [result] = results
  const before = result?.kind === 'get' ? result.found?.records[0] : undefined
  if (before === undefined) throw new Error('a key that exists is read in the same transaction')
  return { candidate: { ...made, revision: before.createRevision }, before }
}

/** Removes the key, also when the client has gone. One that was there before needs the client's right to it. */
async function leave({ candidate, before }: Entered, call: EtcdCall): Promise<void> {
  if (before === undefined) return call.removeMade(removing(candidate))
  // If it cannot be removed now, the end of its lease does it.
  await commit(removing(candidate), call, call.cleanUpDeadline()).catch(() => {})
}

/** Writes a value, if the key is still that of the candidate. */
export async function replaceValue(
  { key, revision, lease }: Pick<LeaseKey, 'key' | 'revision'> & { readonly lease: LeaseId | undefined },
  value: Uint8Array,
  call: EtcdCall,
): Promise<boolean> {
  // Without the revision it is no key of a candidate, and there is no lease to keep.
  if (revision === 0 && lease === undefined) return false
  const put = { kind: 'put', key, value, prev: false } as const
  const { succeeded } = await commit(
    {
      compare: [isMadeAt(key, revision)],
      success: [lease === undefined ? { ...put, keepsLease: true } : { ...put, lease: { id: lease } }],
      failure: [],
    },
    call,
  )
  return succeeded
}

/** Removes the key, if it is still that of the candidate. */
export const removeKey = (candidate: Pick<LeaseKey, 'key' | 'revision'>, call: EtcdCall) =>
  commit(removing(candidate), call)

const removing = ({ key, revision }: Pick<LeaseKey, 'key' | 'revision'>): KvTxn => ({
  compare: [isMadeAt(key, revision)],
  success: [{ kind: 'delete', where: { key }, prev: false }],
  failure: [],
})

/** The oldest key under a name, and the revision at which it was searched for. */
export async function findOldest(
  name: Uint8Array,
  call: EtcdCall,
): Promise<{ readonly oldest: KeyValue | undefined; readonly revision: Revision }> {
  let oldest: KeyRow | undefined
  const revision = await visit(name, false, call, (row) => {
    if (oldest === undefined || row.createRevision < oldest.createRevision) oldest = row
  })
  return { oldest: oldest && encodeRow(oldest), revision }
}

/** All keys under a name. Throws `GrpcError`. */
export function candidatesOf(name: Uint8Array): KeyRange {
  const start = decodeKey(prefixOf(name))
  return { start, end: prefixEnd(start) }
}

// ---------------------------------------------------------------------------------------------------------------------

const NO_VALUE = new Uint8Array()

const prefixOf = (name: Uint8Array): Uint8Array => Buffer.concat([name, encodeUtf8('/')])

const keyOf = (name: Uint8Array, lease: LeaseId): Uint8Array =>
  decodeKey(Buffer.concat([prefixOf(name), encodeUtf8(encodeLeaseId(lease).toString(16))]))

const isMadeAt = (key: Uint8Array, revision: number) =>
  ({ where: { key }, target: 'create_revision', op: '=', to: revision }) as const

async function commit(txn: KvTxn, call: EtcdCall, deadline = call.nextDeadline()) {
  const { result } = await call.execute(
    { kind: 'txn', txn, freshness: {}, idempotency: undefined },
    { deadline },
  )
  return result
}

interface Older {
  /** The candidate has its key: its lease lives. */
  readonly isThere: boolean
  /** The newest key that is older. */
  readonly newest: Uint8Array | undefined
  readonly readAt: Revision
}

async function findOlder(name: Uint8Array, { key, revision }: LeaseKey, call: EtcdCall): Promise<Older> {
  let isThere = false
  let newest: KeyRow | undefined
  const readAt = await visit(name, true, call, (row) => {
    const { createRevision } = row
    if (createRevision === revision && compareKeys(row.key, key) === 0) isThere = true
    if (createRevision < revision && createRevision > (newest?.createRevision ?? 0)) newest = row
  })
  return { isThere, newest: newest?.key, readAt }
}

/** Calls `take` with all keys under a name, at the revision that it returns. All who observe an election read so. */
const visit = (
  name: Uint8Array,
  keysOnly: boolean,
  call: EtcdCall,
  take: (row: KeyRow) => void,
): Promise<Revision> =>
  readAll(call, { range: candidatesOf(name), keysOnly, freshness: {} }, (rows) => {
    for (const row of rows) take(row)
  })

/** The error of a package in Go: gRPC has no better code for it. */
export const goError = (text: string): GrpcError => new GrpcError(GRPC.unknown, text)
