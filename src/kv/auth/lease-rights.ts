// Rights on leases. They follow from who was granted a lease, and from the keys that it has:
//
//   attach a key, revoke     who may write all its keys, also if the lease was granted to that user
//   keep alive               who was granted it, or who may write all its keys
//   read the names of keys   who may read all its keys
//
// A lease without keys is that of the user who was granted it. One that was granted to nobody, while rights were not
// checked, is that of root. The role root may do everything.

import {
  type KeyRange,
  type KvSettings,
  keyAfter,
  type LeaseDemand,
  type LeaseId,
  prefixEnd,
} from '../../operations/forms/index.ts'
import { hasFeature } from '../../operations/forms/settings.ts'
import type { ApplyContext } from '../apply-context.ts'
import { decodeLease, decodeLeaseOwner, leaseKey, leaseOwnerKey } from '../leases.ts'
import { areTooManyKeys } from '../settings.ts'
import type { Steps } from '../steps.ts'
import { readAuthState } from './changes.ts'
import type { Rights } from './rights.ts'

/** Whether the right is there, whatever keys the lease has. */
export const isPermittedWithoutKeys = (
  { to }: Pick<LeaseDemand, 'to'>,
  isOwner: boolean,
  rights: Rights | undefined,
): boolean => rights?.isRoot === true || (isOwner && to === 'keep-alive')

/** Whether the beginning of all keys of the lease permits it. If not, the keys themselves decide. */
export const isPermittedByPrefix = (
  demand: Pick<LeaseDemand, 'to'>,
  keyPrefix: Uint8Array,
  rights: Rights,
): boolean => isPermittedOn(demand, { start: keyPrefix, end: prefixEnd(keyPrefix) }, rights)

/** Whether this key of the lease permits it. */
export const isPermittedByKey = (demand: Pick<LeaseDemand, 'to'>, key: Uint8Array, rights: Rights): boolean =>
  isPermittedOn(demand, { start: key, end: keyAfter(key) }, rights)

const isPermittedOn = ({ to }: Pick<LeaseDemand, 'to'>, range: KeyRange, rights: Rights): boolean =>
  to === 'read-lease' ? rights.mayRead(range) : rights.mayWrite(range)

/** Whether the right is there on a lease that has no keys. */
export const isPermittedOnEmpty = ({ to }: Pick<LeaseDemand, 'to'>, isOwner: boolean): boolean =>
  to === 'read-lease' || isOwner

/** Demands without repetitions: a batch may name the same lease a thousand times. */
export const distinct = (demands: readonly LeaseDemand[]): readonly LeaseDemand[] =>
  demands.length < 2 ? demands : [...new Map(demands.map((demand) => [demand.lease, demand])).values()]

// ---------------------------------------------------------------------------------------------------------------------
// At apply

type ReadRow = (rowKey: Uint8Array) => Uint8Array | undefined

/**
 * The leases whose keys must be read to decide on these demands of a user. They are read before the entry is applied.
 * undefined: the leases have more keys together than an entry may read.
 */
export function leasesToDecideOn(
  demands: readonly LeaseDemand[],
  rights: Rights | undefined,
  settings: KvSettings,
  read: ReadRow,
): readonly LeaseId[] | undefined {
  if (rights === undefined || rights.isRoot) return []
  const leases: LeaseId[] = []
  const onlyRead = hasFeature(settings, 'leaseParts')
  let [counted, keys, keyBytes] = [0, 0, 0]
  for (const demand of distinct(demands)) {
    const row = read(leaseKey(demand.lease))
    const lease = row && decodeLease(row)
    if (lease === undefined || lease.keys === 0) continue
    const isRead = !isPermittedByPrefix(demand, lease.keyPrefix, rights)
    if (isRead) leases.push(demand.lease)
    if (onlyRead && !isRead) continue
    counted++
    keys += lease.keys
    keyBytes += lease.keyBytes
  }
  // Before leases had any number of keys, a single one had more only if the limits were lowered since.
  return (onlyRead || counted > 1) && areTooManyKeys(keys, keyBytes, settings) ? undefined : leases
}

const isMadeAt = (madeAt: number, ownerRow: Uint8Array | undefined): boolean =>
  ownerRow !== undefined && decodeLeaseOwner(ownerRow).madeAt === madeAt

/** A lease has more keys than an entry may read, with the others that the entry names. */
type Decision = 'met' | 'unmet' | 'too-many-keys'

/**
 * Whether a user has these rights now. The node that has permitted the request may not have known the newest keys of a
 * lease, nor the lease itself. `madeAt`: the auth revision at which the user was made.
 */
export function* meetsLeaseDemands(
  demands: readonly LeaseDemand[],
  madeAt: number,
  { state, rows }: Pick<ApplyContext, 'state' | 'rows'>,
): Steps<Decision> {
  const read: ReadRow = (key) => rows.read(key, false)?.bytes
  const rights = readAuthState({ state, rows }).rightsOfUser(madeAt)
  if (rights === undefined) return 'unmet'
  if (rights.isRoot) return 'met'
  const toRead = leasesToDecideOn(demands, rights, state.settings, read)
  if (toRead === undefined) return 'too-many-keys'
  for (const demand of distinct(demands)) {
    const row = read(leaseKey(demand.lease))
    // The command itself refuses a lease that does not exist.
    if (row === undefined) continue
    const { keys, hasOwner } = decodeLease(row)
    if (keys === 0) {
      const isOwner = hasOwner && isMadeAt(madeAt, read(leaseOwnerKey(demand.lease)))
      if (!isPermittedOnEmpty(demand, isOwner)) return 'unmet'
      continue
    }
    if (!toRead.includes(demand.lease)) continue
    for (const key of rows.attached(demand.lease)) {
      if (!isPermittedByKey(demand, key, rights)) return 'unmet'
      yield
    }
  }
  return 'met'
}
