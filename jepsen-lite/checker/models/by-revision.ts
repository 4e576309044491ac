// A versioned register: value and revision. One revision counts the changes of the whole store (src/kv/README.md), so each change of
// a key has a higher one than everything that this key's history showed before, and a read tells two: when the key was changed
// last, and what the store had come to.
//
// A change whose outcome is unknown has a revision that nobody was told. The state then holds the least that it can be, and the first
// answer that names the revision settles it.

import type { Operation, Result } from '../../history.ts'
import type { KeyOperation, Model } from './model.ts'
import { assertNever, plain } from './plain.ts'

interface Versioned {
  readonly value: string | null
  /** The mod revision, or the least that it can be; 0 while there is no such key. */
  readonly mod: number
  readonly modIsKnown: boolean
  /** The store had come to at least this revision. */
  readonly store: number
}

export function byRevision(name: string, operations: readonly Operation['f'][]): Model<Versioned> {
  return {
    name,
    operations,
    initial: (value) => ({ value, mod: 0, modIsKnown: value === null, store: 0 }),
    textOf: ({ value, mod, modIsKnown, store }) =>
      value === null
        ? `absent (store ≥ ${store})`
        : `${JSON.stringify(value)} @${modIsKnown ? mod : `≥${mod}`} (store ≥ ${store})`,
    stepOf(op, result) {
      const transition = transitionOf(op, result)
      if (transition === undefined) return undefined
      const isLook = op.f === 'get' || result?.applied === false || result?.deleted === 0
      return { text: JSON.stringify([bare(op), seen(result)]), isLook, apply: transition }
    },
  }
}

type Transition = (now: Versioned) => Versioned | undefined

function transitionOf(operation: KeyOperation, result: Result | undefined): Transition | undefined {
  const op = plain(operation)
  if (op.f === 'get') {
    if (result === undefined || (result.value === undefined && result.modRevision === undefined))
      return undefined
    return (now) => read(now, result)
  }
  if (result?.applied === false) return (now) => refused(now, op, result)
  if (op.f === 'del') return (now) => deleted(now, op.ifRevision, result)
  return (now) => {
    const value = valueAfter(now, op)
    if (value === undefined) return undefined
    if (op.f === 'append' && typeof result?.value === 'string' && result.value !== value) return undefined
    return changed(now, value, result)
  }
}

type Writing = Exclude<ReturnType<typeof plain>, { readonly f: 'get' } | { readonly f: 'del' }>

/** undefined: its condition does not hold. */
function valueAfter(now: Versioned, op: Writing): string | undefined {
  switch (op.f) {
    case 'put':
      if (op.ifAbsent && now.value !== null) return undefined
      if (op.ifRevision !== undefined && !canBeAt(now, op.ifRevision)) return undefined
      return op.value
    case 'cas':
      return now.value === op.from ? op.to : undefined
    case 'append':
      return (now.value ?? '') + op.value
    default:
      return assertNever(op)
  }
}

function read(now: Versioned, result: Result): Versioned | undefined {
  if (result.value !== undefined && result.value !== now.value) return undefined
  const known = result.modRevision === undefined ? now : settle(now, result.modRevision)
  return known === undefined ? undefined : storeAt(known, result.revision)
}

function changed(now: Versioned, value: string, result: Result | undefined): Versioned | undefined {
  const revision = result?.modRevision ?? result?.revision
  if (revision === undefined) {
    return { value, mod: now.store + 1, modIsKnown: false, store: now.store + 1 }
  }
  if (revision <= now.store) return undefined
  return { value, mod: revision, modIsKnown: true, store: revision }
}

function deleted(
  now: Versioned,
  ifRevision: number | undefined,
  result: Result | undefined,
): Versioned | undefined {
  if (ifRevision !== undefined && !canBeAt(now, ifRevision)) return undefined
  const there = now.value !== null
  if (result?.deleted !== undefined && (result.deleted === 1) !== there) return undefined
  // A delete of nothing changes nothing.
  if (!there) return result === undefined ? undefined : storeAt(now, result.revision)
  const revision = result?.revision
  if (revision !== undefined && revision <= now.store) return undefined
  return { value: null, mod: 0, modIsKnown: true, store: revision ?? now.store + 1 }
}

/** A condition that did not hold is a look at the key: it must not have held. */
function refused(
  now: Versioned,
  op: Exclude<ReturnType<typeof plain>, { readonly f: 'get' }>,
  result: Result,
): Versioned | undefined {
  const { current } = result
  if (current !== undefined && (current === null) !== (now.value === null)) return undefined
  const known = typeof current === 'number' ? settle(now, current) : now
  if (known === undefined || held(known, op)) return undefined
  if (op.f === 'cas' && result.value !== undefined && result.value !== now.value) return undefined
  return storeAt(known, result.revision)
}

/** Certainly held: where the revision is not known it may not have been the one asked for. */
function held(now: Versioned, op: Exclude<ReturnType<typeof plain>, { readonly f: 'get' }>): boolean {
  switch (op.f) {
    case 'put':
    case 'del':
      if (op.ifAbsent && now.value !== null) return false
      if (op.ifRevision !== undefined) return now.modIsKnown && now.mod === op.ifRevision
      return true
    case 'cas':
      return now.value === op.from
    case 'append':
      return true
    default:
      return assertNever(op)
  }
}

const canBeAt = (now: Versioned, revision: number): boolean =>
  now.value !== null && (now.modIsKnown ? now.mod === revision : now.mod <= revision)

/** Somebody was told the mod revision. */
function settle(now: Versioned, mod: number): Versioned | undefined {
  if (!canBeAt(now, mod)) return undefined
  if (now.modIsKnown) return now
  return { ...now, mod, modIsKnown: true, store: Math.max(now.store, mod) }
}

/** Somebody was told the store's revision: it never falls, and is no lower than the key's. */
function storeAt(now: Versioned, revision: number | undefined): Versioned | undefined {
  if (revision === undefined) return now
  if (revision < now.store) return undefined
  return revision === now.store ? now : { ...now, store: revision }
}

/** Without what makes equal requests look different. */
function bare(op: KeyOperation): unknown {
  const { f } = op
  const args = plain(op)
  return args.f === 'get' ? 'get' : [f, { ...args, key: '', idempotency: '' }]
}

function seen(result: Result | undefined): unknown {
  if (result === undefined) return 'unknown'
  const { value, modRevision, revision, applied, current, deleted } = result
  return { value, modRevision, revision, applied, current, deleted }
}
