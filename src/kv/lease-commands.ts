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
  type Lease,
  readLease,
  removeLease,
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
      const deleted = yield* end(id, lease, work)
      return { kind: 'revoked', revision: state.revision, deleted }
    }
    case 'expire': {
      let [leases, deleted] = [0, 0]
      for (const { id, deadlineMs } of command.leases) {
        const lease = readLease(id, work)
        if (lease?.deadlineMs !== deadlineMs) continue
        deleted += yield* end(id, lease, work)
        leases++
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

/** The lease ends, and its keys are deleted. Returns how many they were. */
function* end(id: LeaseId, lease: Lease, work: ApplyContext): Steps<number> {
  const { keys: count } = lease
  const keys = work.rows.attached(id)
  if (keys.length !== count)
    throw new MissingRowError(`lease ${id} has ${count} keys, and ${keys.length} were found`)
  const revision = asRevision(work.state.revision + 1)
  for (const key of keys) {
    const rowKey = metadataKey(key)
    const current = readCurrent(key, rowKey, work.rows)
    if (current?.lease !== id) throw new MissingRowError(`a key of lease ${id} has another lease`)
    unlink(id, key, work)
    removeDetached(current, rowKey, revision, work)
    yield
  }
  removeLease(id, lease, work)
  return keys.length
}
