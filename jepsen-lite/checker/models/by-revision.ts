// A versioned register: value and revision. One revision counts the changes of the whole store (src/kv/README.md). So
// each change of a key has a higher revision than everything that this key's history showed before. A read tells two
// revisions: when the key was last changed, and the store's revision.
//
// A change whose outcome is unknown has a revision that no client knows. The state then holds the lowest and the
// highest possible value, and the first answer that tells the revision fixes it.

import type { HistoryOperation, RecordedResult } from '../../workload/history.ts'
import type { KeyModel, KeyOperation } from './model.ts'
import { assertNever, plain } from './plain.ts'

interface VersionedValue {
  readonly value: string | null
  /**
   * The mod revision: its lowest and highest possible value. They are equal once it is known, and 0 while the key does
   * not exist.
   */
  readonly least: number
  readonly most: number
  /** The store's revision is at least this. */
  readonly store: number
}

export function byRevision(
  name: string,
  operations: readonly HistoryOperation['f'][],
): KeyModel<VersionedValue> {
  return {
    name,
    operations,
    initial: (value) => ({ value, least: 0, most: value === null ? 0 : Number.POSITIVE_INFINITY, store: 0 }),
    formatState: ({ value, least, most, store }) =>
      value === null
        ? `absent (store ≥ ${store})`
        : `${JSON.stringify(value)} @${least === most ? least : `${least}–${most}`} (store ≥ ${store})`,
    computeStep(op, result) {
      const transition = computeTransition(op, result)
      if (transition === undefined) return undefined
      const isObservation = op.f === 'get' || result?.applied === false || result?.deleted === 0
      const mayBeObservation = isObservation || (op.f === 'del' && result?.deleted === undefined)
      const order = stepOrder(mayBeObservation, result)
      return { text: JSON.stringify([bare(op), seen(result)]), isObservation, order, apply: transition }
    },
  }
}

/**
 * By the revision in the answer. Observations of a revision come after the change that made it. A delete that does not
 * tell whether it changed anything may be either.
 */
function stepOrder(isObservation: boolean, result: RecordedResult | undefined): number | undefined {
  const revision = isObservation ? result?.revision : (result?.modRevision ?? result?.revision)
  return revision === undefined ? undefined : 2 * revision + (isObservation ? 1 : 0)
}

type Transition = (now: VersionedValue) => VersionedValue | undefined
type Plain = ReturnType<typeof plain>
type Change = Exclude<Plain, { readonly f: 'get' }>

function computeTransition(
  operation: KeyOperation,
  result: RecordedResult | undefined,
): Transition | undefined {
  const op = plain(operation)
  if (op.f === 'get') {
    if (result === undefined || (result.value === undefined && result.modRevision === undefined))
      return undefined
    return (now) => read(now, result)
  }
  if (result?.applied === false) return (now) => refused(now, op, result)
  return (now) => {
    const met = meet(now, op)
    if (met === undefined) return undefined
    return op.f === 'del' ? deleted(met, result) : changed(met, op, result)
  }
}

/** The state in which its condition holds; undefined: there is none. */
function meet(now: VersionedValue, op: Change): VersionedValue | undefined {
  switch (op.f) {
    case 'put':
    case 'del':
      if (op.ifAbsent && now.value !== null) return undefined
      return op.ifRevision === undefined ? now : settle(now, op.ifRevision)
    case 'cas':
      return now.value === op.from ? now : undefined
    case 'append':
      return now
    default:
      return assertNever(op)
  }
}

function read(now: VersionedValue, result: RecordedResult): VersionedValue | undefined {
  if (result.value !== undefined && result.value !== now.value) return undefined
  const known = result.modRevision === undefined ? now : settle(now, result.modRevision)
  return known === undefined ? undefined : storeAt(known, result.revision)
}

function changed(
  now: VersionedValue,
  op: Exclude<Change, { readonly f: 'del' }>,
  result: RecordedResult | undefined,
): VersionedValue | undefined {
  const value = op.f === 'append' ? (now.value ?? '') + op.value : op.f === 'cas' ? op.to : op.value
  if (op.f === 'append' && result?.value !== undefined && result.value !== value) return undefined
  const revision = result?.modRevision ?? result?.revision
  if (revision !== result?.revision && result?.revision !== undefined) return undefined
  if (revision !== undefined && revision <= now.store) return undefined
  const least = revision ?? now.store + 1
  return { value, least, most: revision ?? Number.POSITIVE_INFINITY, store: least }
}

function deleted(now: VersionedValue, result: RecordedResult | undefined): VersionedValue | undefined {
  const there = now.value !== null
  if (result?.deleted !== undefined && (result.deleted === 1) !== there) return undefined
  // A delete of a missing key changes nothing.
  if (!there) return result === undefined ? undefined : storeAt(now, result.revision)
  const revision = result?.revision
  if (revision !== undefined && revision <= now.store) return undefined
  return { value: null, least: 0, most: 0, store: revision ?? now.store + 1 }
}

/** A failed condition is an observation of the key: the condition must not have held. */
function refused(now: VersionedValue, op: Change, result: RecordedResult): VersionedValue | undefined {
  const { current } = result
  if (current !== undefined && (current === null) !== (now.value === null)) return undefined
  const known = typeof current === 'number' ? settle(now, current) : now
  if (known === undefined || meet(known, op) === known) return undefined
  if (op.f === 'cas' && result.value !== undefined && result.value !== now.value) return undefined
  return storeAt(known, result.revision)
}

/** An answer has the mod revision. */
function settle(now: VersionedValue, mod: number): VersionedValue | undefined {
  const { value, least, most, store } = now
  if (value === null || mod < least || mod > most) return undefined
  return least === most ? now : { value, least: mod, most: mod, store: Math.max(store, mod) }
}

/** An answer has the store's revision. It never decreases, and is not below the key's. */
function storeAt(now: VersionedValue, revision: number | undefined): VersionedValue | undefined {
  if (revision === undefined) return now
  if (revision < now.store) return undefined
  const most = Math.min(now.most, revision)
  return revision === now.store && most === now.most ? now : { ...now, most, store: revision }
}

/** The operation without the fields by which equal requests differ. */
function bare(op: KeyOperation): unknown {
  const { f } = op
  const args = plain(op)
  return args.f === 'get' ? 'get' : [f, { ...args, key: '', idempotency: '' }]
}

function seen(result: RecordedResult | undefined): unknown {
  if (result === undefined) return 'unknown'
  const { value, modRevision, revision, applied, current, deleted } = result
  return { value, modRevision, revision, applied, current, deleted }
}
