// Words for what a transaction does. Keys and values stay bytes, so that the page shows them as it shows all others.

import { nameRange, type Where } from '../../../../src/operations/forms/places.ts'
import type { KvComparison, KvTxn, KvTxnOperation } from '../../../../src/operations/forms/transactions.ts'
import { formatBytes, formatCount, formatDuration } from '../../design/numbers.ts'

/** A sentence or a part of one. */
export type Words = readonly (string | Uint8Array)[]

/** A step: its words, and the transaction in it. */
export interface OutlineStep {
  readonly words: Words
  readonly txn?: Outline
}

export interface OutlineSteps {
  readonly steps: readonly OutlineStep[]
  /** Number of steps that are left out. */
  readonly left: number
}

export interface Outline {
  readonly conditions: readonly Words[]
  readonly success: OutlineSteps
  readonly failure: OutlineSteps
}

/** Limit on the lines of an outline. A node accepts few more operations in one transaction. */
const LINES_SHOWN = 150

export const outlineTxn = (txn: KvTxn): Outline => new Outliner().outline(txn)

/** The steps of both branches that delete keys, at any depth. */
export function findDeletions({ success, failure }: KvTxn): readonly Words[] {
  return [...success, ...failure].flatMap((operation) => {
    if (operation.kind === 'delete') return [describePlace(operation.where)]
    return operation.kind === 'txn' ? findDeletions(operation.txn) : []
  })
}

class Outliner {
  #left = LINES_SHOWN

  outline({ compare, success, failure }: KvTxn): Outline {
    const conditions = compare.slice(0, this.#left).map(describeComparison)
    this.#left -= conditions.length
    const left = compare.length - conditions.length
    if (left > 0) conditions.push([`and ${formatCount(left)} more`])
    return { conditions, success: this.#steps(success), failure: this.#steps(failure) }
  }

  #steps(operations: readonly KvTxnOperation[]): OutlineSteps {
    const steps: OutlineStep[] = []
    for (const operation of operations) {
      if (this.#left <= 0) break
      this.#left -= 1
      steps.push({
        words: describeOperation(operation),
        ...(operation.kind === 'txn' && { txn: this.outline(operation.txn) }),
      })
    }
    return { steps, left: operations.length - steps.length }
  }
}

const TARGETS = {
  value: 'value',
  version: 'version',
  create_revision: 'create revision',
  mod_revision: 'revision',
  lease: 'lease',
} as const

function describeComparison(comparison: KvComparison): Words {
  const { where, target, op } = comparison
  if (target === 'version' && comparison.to === 0 && 'key' in where && (op === '=' || op === '!='))
    return [where.key, op === '=' ? ' does not exist' : ' exists']
  const to =
    comparison.target === 'lease'
      ? (comparison.to ?? 'none')
      : comparison.target === 'value'
        ? comparison.to
        : formatCount(comparison.to)
  return [`${TARGETS[target]} of `, ...describePlace(where, 'each key'), ` ${op === '!=' ? '≠' : op} `, to]
}

/** Values beyond this size have their size beside them. */
const SHORT_BYTES = 80

function describeOperation(operation: KvTxnOperation): Words {
  switch (operation.kind) {
    case 'put': {
      const { key, value, lease, prev } = operation
      const size = value.length > SHORT_BYTES ? ` (${formatBytes(value.length)})` : ''
      const until =
        lease === undefined
          ? ''
          : 'id' in lease
            ? `, until lease ${lease.id} ends`
            : `, for ${formatDuration(lease.ttlMs)}`
      const written: Words = value.length === 0 ? [', empty'] : [' = ', value, size]
      return ['writes ', key, ...written, until, prev ? ', and shows what was there' : '']
    }
    case 'get': {
      const { where, limit, keysOnly, count, countOnly } = operation
      if (countOnly) return ['counts ', ...describePlace(where)]
      const most = limit === undefined ? '' : `, at most ${formatCount(limit)}`
      const more = `${keysOnly ? ', without values' : ''}${count ? ', and counts all' : ''}`
      return ['reads ', ...describePlace(where), most, more]
    }
    case 'delete': {
      const { where, prev } = operation
      return ['deletes ', ...describePlace(where), prev ? ', and shows what was there' : '']
    }
    case 'txn':
      return ['runs an inner transaction']
  }
}

/** `keys` names those of a range. */
export function describePlace(where: Where, keys: 'all keys' | 'each key' = 'all keys'): Words {
  if ('key' in where) return [where.key]
  const named = nameRange(where)
  if ('all' in named) return [keys]
  if ('key' in named) return [named.key]
  if ('prefix' in named) {
    const begin = keys === 'all keys' ? 'begin' : 'begins'
    return named.prefix.length === 0 ? [keys] : [`${keys} that ${begin} with `, named.prefix]
  }
  const from: Words = named.start.length === 0 ? [] : [' from ', named.start]
  return [keys, ...from, ...(named.end === undefined ? [' on'] : [' up to ', named.end, ', exclusive'])]
}
