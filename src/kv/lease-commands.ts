// The commands on leases themselves: grant, renew, revoke, expire. None of them raises the revision, unless keys are
// deleted.

import { assertNever } from '../bytes/index.ts'
import { asRevision, type LeaseId } from '../operations/forms/index.ts'
import type { ApplyContext } from './apply-context.ts'
import { MissingRowError } from './errors.ts'
import { metadataKey, readCurrent, removeDetached } from './keys.ts'
import {
  addLease,
  chooseId,
  countFault,
  endLease,
  type Lease,
  partOfLease,
  readLease,
  renewLease,
  ttlFault,
  unlink,
} from './leases.ts'
import { leaseNumbers, rejection } from './rejections.ts'
import type { Steps } from './steps.ts'
import type { LeaseCommand, Outcome } from './types.ts'

export function* executeOnLeases(command: LeaseCommand, work: ApplyContext): Steps<Outcome> {
  const { state } = work
  switch (command.kind) {
    case 'grant':
      return grant(command, work)
    case 'renew': {
      const ttlsMs = command.ids.map((id) => renewLease(id, work))
      return { kind: 'renewed', revision: state.revision, ttlsMs }
    }
    case 'revoke': {
      const { id } = command
      const lease = readLease(id, work)
      if (lease === undefined) return rejection(state.revision, 'lease-not-found', leaseNumbers(id))
      const { deleted, left } = yield* end(id, lease, work)
      const outcome = { kind: 'revoked' as const, revision: state.revision, deleted }
      return left === 0 ? outcome : { ...outcome, left }
    }
    case 'expire': {
      let [leases, deleted] = [0, 0]
      // An entry deletes one part of a lease, also if it names the lease twice.
      const inPart = new Set<LeaseId>()
      for (const { id, deadlineMs } of command.leases) {
        const lease = readLease(id, work)
        if (lease?.deadlineMs !== deadlineMs || inPart.has(id)) continue
        const part = yield* end(id, lease, work)
        deleted += part.deleted
        if (part.left === 0) leases++
        else inPart.add(id)
      }
      return { kind: 'expired', revision: state.revision, leases, deleted }
    }
    default:
      return assertNever(command, 'command')
  }
}

function grant(
  { id: requested, ttlMs }: Extract<LeaseCommand, { kind: 'grant' }>,
  work: ApplyContext,
): Outcome {
  const { state } = work
  const fault = ttlFault(ttlMs, state)
  if (fault !== undefined) return fault
  if (requested !== undefined && readLease(requested, work) !== undefined)
    return rejection(state.revision, 'lease-exists', leaseNumbers(requested))
  const full = countFault(1, state)
  if (full !== undefined) return full
  const id = requested ?? chooseId(work)
  addLease(id, { ttlMs, owned: false }, work)
  return { kind: 'granted', revision: state.revision, lease: id, ttlMs }
}

/** The lease ends: its keys are deleted, or the next part of them, at one revision. `left`: keys that it still has. */
function* end(
  id: LeaseId,
  lease: Lease,
  work: ApplyContext,
): Steps<{ readonly deleted: number; readonly left: number }> {
  const { keys: count } = lease
  const found = work.rows.attached(id)
  const part = partOfLease(lease, work.state.settings)
  const keysMax = Math.min(count, part?.keysMax ?? count)
  if (found.length < keysMax || found.length > count)
    throw new MissingRowError(`lease ${id} has ${count} keys, and ${found.length} were found`)
  const revision = asRevision(work.state.revision + 1)
  let [keys, keyBytes] = [0, 0]
  for (const key of found.slice(0, keysMax)) {
    if (part !== undefined && keys > 0 && keyBytes + key.length > part.keyBytesMax) break
    const rowKey = metadataKey(key)
    const current = readCurrent(key, rowKey, work.rows)
    if (current?.lease !== id) throw new MissingRowError(`a key of lease ${id} has another lease`)
    unlink(id, key, work)
    removeDetached(current, rowKey, revision, work)
    keys++
    keyBytes += key.length
    yield
  }
  return { deleted: keys, left: endLease(id, lease, { keys, keyBytes }, work) }
}
