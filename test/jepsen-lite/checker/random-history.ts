// Small random histories of a store that keeps its promises, or, where `lies` allows it, of one that now and then does
// not. Made from bytes, so that fast-check can shrink them: fewer bytes, fewer operations; smaller bytes, simpler ones.

import type {
  HistoryEvent,
  HistoryOperation,
  RecordedRange,
  RecordedResult,
} from '../../../jepsen-lite/workload/history.ts'

export interface Recipe {
  readonly bytes: Uint8Array
  /** Which operations there are. */
  readonly kinds: readonly Kind[]
  readonly lies: boolean
  /** Answers tell revisions. */
  readonly revisions: boolean
  readonly keys: readonly string[]
}

export type Kind =
  | 'get'
  | 'put'
  | 'put-if-absent'
  | 'put-if-revision'
  | 'del'
  | 'cas'
  | 'append'
  | 'append-piece'
  | 'acquire'
  | 'release'
  | 'range'
  | 'stale-get'
  | 'repeat'

const BYTES_PER_OPERATION = 6
const VALUES = ['a', 'b', 'c']

interface Stored {
  readonly value: string
  readonly mod: number
}

interface Planned {
  readonly op: HistoryOperation
  readonly start: number
  readonly point: number
  readonly end: number
  /** How it ended: 0 unknown and never applied, 1 unknown and applied, anything else: answered. */
  readonly fate: number
  readonly lie: number
}

export function randomHistory({ bytes, kinds, lies, revisions, keys }: Recipe): HistoryEvent[] {
  const planned: Planned[] = []
  for (let at = 0; at + BYTES_PER_OPERATION <= bytes.length; at += BYTES_PER_OPERATION) {
    const [kind = 0, argument = 0, start = 0, before = 0, after = 0, fate = 0] = bytes.subarray(at)
    const op = operationOf(kinds[kind % kinds.length] ?? 'get', argument, keys, planned)
    // Fractions that no other number here has: nothing happens at one instant with something else.
    const begin = (start % 24) + planned.length / 100
    const point = begin + 0.001 + (before % 8)
    planned.push({
      op,
      start: begin,
      point,
      end: point + 0.001 + (after % 8),
      fate: fate % 16,
      lie: fate >> 4,
    })
  }
  return record(planned, lies, revisions)
}

function record(planned: readonly Planned[], lies: boolean, revisions: boolean): HistoryEvent[] {
  const store = new Map<string, Stored>()
  const past: Map<string, Stored>[] = [new Map()]
  const answered = new Map<string, RecordedResult>()
  let revision = 1
  const events: (HistoryEvent & { time: number })[] = []
  const order = planned.map((plan, at) => ({ ...plan, id: at + 1 })).sort((a, b) => a.point - b.point)
  for (const { id, op, start, end, fate, lie } of order) {
    events.push({ type: 'invoke', id, client: id, time: start, node: 'n1', op })
    if (fate === 0 && 'idempotency' in op === false) {
      events.push({ type: 'unknown', id, time: end, why: 'timeout' })
      continue
    }
    const told = repeatOr(op, answered, () => {
      const [result, changed] = apply(op, store, revision, past, fate)
      if (changed) {
        revision += 1
        past.push(new Map(store))
      }
      return result
    })
    if (fate <= 1) {
      events.push({ type: 'unknown', id, time: end, why: 'timeout' })
      continue
    }
    const honest = revisions ? told : withoutRevisions(told)
    const result = lies && lie < 3 ? lieAbout(honest, lie) : honest
    events.push({ type: 'ok', id, time: end, result })
  }
  events.sort((a, b) => a.time - b.time)
  return [{ type: 'history', version: 1, workload: 'random', command: '' }, ...events]
}

/** The key's row and the revision afterwards. */
function apply(
  op: HistoryOperation,
  store: Map<string, Stored>,
  revision: number,
  past: readonly Map<string, Stored>[],
  fate: number,
): [result: RecordedResult, changed: boolean] {
  if (op.f === 'range') return [list(op, store, revision), false]
  const row = store.get(op.key)
  const write = (value: string): [RecordedResult, boolean] => {
    store.set(op.key, { value, mod: revision + 1 })
    return [{ modRevision: revision + 1, revision: revision + 1 }, true]
  }
  const refuse = (extra: RecordedResult = {}): [RecordedResult, boolean] => [
    { applied: false, current: row?.mod ?? null, revision, ...extra },
    false,
  ]
  switch (op.f) {
    case 'get': {
      // A stale read shows any of the last few revisions.
      const at = op.consistency === 'stale' ? Math.max(1, revision - (fate % 4)) : revision
      const then = past[at - 1]?.get(op.key)
      const served = op.consistency ?? 'linearizable'
      return then === undefined
        ? [{ value: null, revision: at, served }, false]
        : [{ value: then.value, modRevision: then.mod, revision: at, served }, false]
    }
    case 'put':
      if (op.ifAbsent && row !== undefined) return refuse()
      if (op.ifRevision !== undefined && row?.mod !== op.ifRevision) return refuse()
      return write(op.value)
    case 'acquire':
      return row === undefined ? write(op.owner) : refuse()
    case 'cas':
      return (row?.value ?? null) === op.from ? write(op.to) : refuse({ value: row?.value ?? null })
    case 'append':
      return write((row?.value ?? '') + op.value)
    case 'release':
      if (row?.mod !== op.token) return refuse()
      store.delete(op.key)
      return [{ deleted: 1, revision: revision + 1 }, true]
    case 'del':
      if (row === undefined) return [{ deleted: 0, revision }, false]
      store.delete(op.key)
      return [{ deleted: 1, revision: revision + 1 }, true]
  }
}

/** Keys here are of one letter each. */
export function list(
  op: RecordedRange,
  store: ReadonlyMap<string, { readonly value: string; readonly mod: number }>,
  revision: number,
): RecordedResult {
  const { prefix = '', start = '', end, after, limit = 1_000, order, keysOnly, count, countOnly, stream } = op
  const sign = order === 'desc' ? -1 : 1
  const whole = [...store]
    .filter(([key]) => key.startsWith(prefix) && key >= start && (end === undefined || key < end))
    .sort(([a], [b]) => (a < b ? -sign : sign))
  if (countOnly) return { rows: [], more: false, count: whole.length, revision }
  const behind = whole.filter(
    ([key]) => after === undefined || (order === 'desc' ? key < after : key > after),
  )
  const rows = behind
    .slice(0, limit)
    .map(([key, { value, mod }]) => ({ key, ...(keysOnly ? {} : { value }), modRevision: mod }))
  if (stream) return { rows, count: rows.length, revision }
  const more = behind.length > rows.length
  const next = rows.at(-1)?.key
  return {
    ...{ rows, more, revision },
    ...(more && next !== undefined && { next }),
    ...(count && { count: whole.length }),
  }
}

/** The operation for a number from 0 to 255. */
export function rangeOf(argument: number, keys: readonly string[]): RecordedRange {
  const key = keys[argument % keys.length] ?? 'x'
  const has = (bit: number): boolean => ((argument * 37) & (1 << bit)) !== 0
  return {
    f: 'range',
    ...(has(0) ? (has(1) ? { prefix: key } : { prefix: '' }) : { start: key, ...(has(1) && { end: 'y\0' }) }),
    ...(has(2) && { limit: 1 + (argument % 3) }),
    ...(has(3) && { order: 'desc' as const }),
    ...(has(4) && { keysOnly: true as const }),
    ...(has(5) && { after: key }),
    ...(has(6) ? { count: true as const } : has(7) ? { stream: true as const } : {}),
    ...(argument % 16 === 7 && { countOnly: true as const }),
  }
}

/** A request that was sent before is answered from memory. */
function repeatOr(
  op: HistoryOperation,
  answered: Map<string, RecordedResult>,
  applyNow: () => RecordedResult,
): RecordedResult {
  const token = 'idempotency' in op ? op.idempotency : undefined
  if (token === undefined) return applyNow()
  const result = answered.get(token) ?? applyNow()
  answered.set(token, result)
  return result
}

function operationOf(
  kind: Kind,
  argument: number,
  keys: readonly string[],
  before: readonly Planned[],
): HistoryOperation {
  const key = keys[argument % keys.length] ?? 'x'
  const value = VALUES[(argument >> 1) % VALUES.length] ?? 'a'
  switch (kind) {
    case 'get':
      return { f: 'get', key }
    case 'stale-get':
      return { f: 'get', key, consistency: 'stale' }
    case 'range':
      return rangeOf(argument, keys)
    case 'put':
      return { f: 'put', key, value }
    case 'put-if-absent':
      return { f: 'put', key, value, ifAbsent: true }
    case 'put-if-revision':
      return { f: 'put', key, value, ifRevision: 2 + ((argument >> 4) % 4) }
    case 'del':
      return { f: 'del', key }
    case 'cas':
      return { f: 'cas', key, from: [null, ...VALUES][(argument >> 3) % 4] ?? null, to: value }
    case 'append':
      return { f: 'append', key, value }
    case 'append-piece':
      return { f: 'append', key, value: `${before.length},` }
    case 'acquire':
      return { f: 'acquire', key, owner: value }
    case 'release':
      return { f: 'release', key, owner: value, token: 2 + ((argument >> 4) % 4) }
    case 'repeat': {
      // The same request as an earlier keyed one, or a new one.
      const keyed = before.map(({ op }) => op).filter((op) => 'idempotency' in op)
      return (
        keyed[argument % (keyed.length + 1)] ?? {
          f: 'append',
          key,
          value,
          idempotency: `token ${before.length}`,
        }
      )
    }
  }
}

function withoutRevisions({
  modRevision: _mod,
  revision: _revision,
  current: _current,
  ...result
}: RecordedResult): RecordedResult {
  return result
}

/** As if another value, another revision, or the opposite had been seen. */
function lieAbout(result: RecordedResult, lie: number): RecordedResult {
  // One piece short.
  if (lie === 0 && result.value?.endsWith(','))
    return { ...result, value: result.value.replace(/[^,]*,$/, '') }
  if (lie === 0 && result.value !== undefined) return { ...result, value: result.value === 'a' ? 'b' : 'a' }
  if (lie === 1 && result.modRevision !== undefined)
    return { ...result, modRevision: Math.max(1, result.modRevision - 1) }
  if (lie === 1 && result.deleted !== undefined) return { ...result, deleted: result.deleted === 1 ? 0 : 1 }
  if (lie === 2 && result.revision !== undefined) return { ...result, revision: result.revision + 1 }
  if (lie === 2 && result.applied === false) return { ...result, applied: true }
  return result
}
