// Changes of single keys that are one entry of the log, one after the other. Each has an outcome of its own.

import type { EntryFacts } from './definition.ts'
import type { DeleteRequest } from './delete.ts'
import type { Idempotency } from './forms/idempotency.ts'
import { attaching, changing, NO_LEASES } from './forms/rights.ts'
import type { PutRequest } from './put.ts'

/** Limit on the changes of one batch. The layout of an entry has room for 65 535. */
export const BATCH_COMMANDS_MAX = 1000

/** A change of one key. It cannot request the row before it, and has no idempotency of its own. */
export type BatchedCommand = (Omit<PutRequest, 'idempotency'> | Omit<DeleteRequest, 'idempotency'>) & {
  readonly prev: false
}

export interface BatchRequest {
  readonly kind: 'batch'
  readonly commands: readonly BatchedCommand[]
  readonly idempotency: Idempotency | undefined
}

export const batch: EntryFacts<Pick<BatchRequest, 'commands'>> = {
  effect: 'change',
  isAudited: true,
  label: 'batch',
  room: 'depends',
  demands: (operation) => [
    ...operation.commands.flatMap((each) => changing(each, each.condition !== undefined)),
    ...leasesOf(operation),
  ],
  leases: leasesOf,
}

function leasesOf({ commands }: Pick<BatchRequest, 'commands'>) {
  if (!commands.some(hasLease)) return NO_LEASES
  return commands.flatMap((each) => (hasLease(each) ? attaching(each.lease) : []))
}

const hasLease = (command: BatchedCommand): command is Extract<BatchedCommand, { kind: 'put' }> =>
  command.kind === 'put' && command.lease !== undefined
