// Linearizability by its definition: is there any order of the operations, each unknown one taken or left out, that
// respects real time and that a plain store would have answered like this? All keys at once, with real revisions,
// without any cleverness: the judge of the checker.

import type {
  History,
  HistoryCall,
  HistoryOperation,
  RecordedResult,
} from '../../../jepsen-lite/workload/history.ts'

interface Row {
  readonly value: string
  /** undefined where no answer tells revisions. */
  readonly mod: number
}

interface Store {
  readonly rows: ReadonlyMap<string, Row>
  readonly revision: number
}

export function isLinearizable(history: History, tellsRevisions: boolean): boolean {
  const calls = history.calls.filter(
    ({ outcome, op }) => outcome.kind !== 'fail' && !(outcome.kind === 'unknown' && op.f === 'get'),
  )
  const revisionMax = tellsRevisions ? highestRevision(calls) + 2 : 0
  return explains(calls, { rows: new Map(), revision: 0 }, revisionMax)
}

function explains(left: readonly HistoryCall[], store: Store, revisionMax: number): boolean {
  if (left.every(({ outcome }) => outcome.kind === 'unknown')) return true
  const deadline = Math.min(
    ...left.map((call) => (call.outcome.kind === 'unknown' ? Number.POSITIVE_INFINITY : call.end)),
  )
  return left.some((call) => {
    if (call.start > deadline) return false
    const rest = left.filter((other) => other !== call)
    const result = call.outcome.kind === 'ok' ? call.outcome.result : undefined
    return nextStores(call.op, result, store, revisionMax).some((next) => explains(rest, next, revisionMax))
  })
}

/** The stores that may follow; none if the result is impossible here. */
function nextStores(
  op: HistoryOperation,
  result: RecordedResult | undefined,
  store: Store,
  revisionMax: number,
): Store[] {
  if (op.f === 'range') throw new Error('not a matter of single keys')
  const row = store.rows.get(op.key)
  const value = row?.value ?? null
  if (op.f === 'get') {
    if (result === undefined || result.value !== value) return []
    if (result.modRevision !== undefined && result.modRevision !== row?.mod) return []
    return seenAt(store, result.revision)
  }
  const after = outcomeOf(op, row)
  if (result?.applied === false) {
    if (after !== undefined) return []
    if (result.current !== undefined && result.current !== (row?.mod ?? null)) return []
    if (op.f === 'cas' && result.value !== undefined && result.value !== value) return []
    return seenAt(store, result.revision)
  }
  if (after === undefined) return []
  if (after.value === null) {
    if (result?.deleted !== undefined && (result.deleted === 1) !== (row !== undefined)) return []
    // A delete of nothing changes nothing.
    if (row === undefined) return seenAt(store, result?.revision)
  }
  if (op.f === 'append' && result?.value !== undefined && result.value !== after.value) return []
  // A change is at the revision that it made.
  const { modRevision, revision: made } = result ?? {}
  if (after.value !== null && modRevision !== undefined && made !== undefined && modRevision !== made)
    return []
  const told = after.value === null ? result?.revision : (result?.modRevision ?? result?.revision)
  const revisions =
    told === undefined ? range(store.revision + 1, Math.max(revisionMax, store.revision + 1)) : [told]
  return revisions
    .filter((revision) => revision > store.revision)
    .map((revision) => {
      const rows = new Map(store.rows)
      if (after.value === null) rows.delete(op.key)
      else rows.set(op.key, { value: after.value, mod: revision })
      return { rows, revision }
    })
}

/** undefined: its condition does not hold. */
function outcomeOf(
  op: Exclude<HistoryOperation, { f: 'get' } | { f: 'range' }>,
  row: Row | undefined,
): { readonly value: string | null } | undefined {
  switch (op.f) {
    case 'put': {
      const holds =
        (!op.ifAbsent || row === undefined) && (op.ifRevision === undefined || row?.mod === op.ifRevision)
      return holds ? { value: op.value } : undefined
    }
    case 'acquire':
      return row === undefined ? { value: op.owner } : undefined
    case 'release':
      return row?.mod === op.token ? { value: null } : undefined
    case 'del':
      return { value: null }
    case 'cas':
      return (row?.value ?? null) === op.from ? { value: op.to } : undefined
    case 'append':
      return { value: (row?.value ?? '') + op.value }
  }
}

/** The revision of the store may have risen through keys that are not in the history. */
function seenAt(store: Store, revision: number | undefined): Store[] {
  if (revision === undefined) return [store]
  return revision < store.revision ? [] : [{ ...store, revision }]
}

function highestRevision(calls: readonly HistoryCall[]): number {
  const told = calls.flatMap(({ op, outcome }) => {
    if (outcome.kind !== 'ok') return [0]
    const { revision, modRevision, current } = outcome.result
    const asked = 'ifRevision' in op ? op.ifRevision : 'token' in op ? op.token : 0
    return [revision ?? 0, modRevision ?? 0, current ?? 0, asked ?? 0]
  })
  return Math.max(0, ...told) + calls.length
}

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, at) => from + at)
