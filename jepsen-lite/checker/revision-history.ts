// The value of each key at each revision, as far as the answers tell. Every change makes one revision, so the revisions
// order the acknowledged changes of a key. An observation (a read, a list, a condition) with a revision is compared
// with the changes up to it. A change whose revision is unknown (its outcome is unknown, or its answer did not tell)
// may be in one of the gaps between those revisions, and only in one.

import {
  FIRST_REVISION,
  type History,
  type HistoryCall,
  type ListedRow,
  type RecordedResult,
} from '../workload/history.ts'
import { countWhile } from '../workload/sorted.ts'
import type { Anomaly } from './anomaly.ts'
import type { KeyInterval, SortedKeys } from './keys.ts'
import { plain } from './models/plain.ts'
import type { CheckedRequest } from './partition.ts'

interface Change {
  readonly revision: number
  readonly key: string
  /** null: deleted. undefined: unknown (an append to a value that no client saw). */
  readonly value: string | null | undefined
  readonly request: CheckedRequest
}

/** The statement of an answer about a key at a revision of the store. */
export interface Observation {
  readonly key: string
  /** The revision of the store in the answer. */
  readonly at: number
  /** null: the key did not exist. undefined: not known. */
  readonly mod: number | null | undefined
  readonly value: string | null | undefined
  /** The number of changes since the key was created, counted from 1. undefined: not known. */
  readonly version: number | undefined
  /** The time of the answer (a position of the history). */
  readonly end: number
  /** The call; undefined: the final content of a node. */
  readonly call: number | undefined
  readonly by: string
}

/** A request that may have changed a key, at an unknown revision. */
interface PossibleChange {
  readonly request: CheckedRequest
  /** Known in one case only: a delete whose answer has a revision, but not whether it deleted anything. */
  readonly at: number | undefined
}

/** An observation shows that the key existed since this revision. */
interface ObservedRevision {
  readonly revision: number
  readonly observation: Observation
}

interface KeyHistory {
  /** Changes of this key by rising revision. */
  readonly changes: Change[]
  readonly possibleChanges: PossibleChange[]
  /** Possible changes that may have made any revision: for each value that they leave, when the first of them began. */
  readonly earliest: Map<string | null, number>
  /** Revisions of this key that were seen, in rising order; filled once all observations are known. */
  seen: readonly ObservedRevision[]
  /** Revisions of this key that were seen and that no acknowledged change made, with their first observation. */
  readonly unexplained: Map<number, Observation>
}

export class RevisionHistory {
  readonly changes: readonly Change[]
  readonly findings: Anomaly[] = []
  readonly #keys = new Map<string, KeyHistory>()
  readonly #names: SortedKeys
  readonly #initial: string | null
  /** No change made this revision or a lower one. */
  readonly #first: number
  /** The revisions of all acknowledged changes, rising. */
  readonly #acknowledgedRevisions: readonly number[]
  /** Each once: the changes of a transaction share one. */
  readonly #distinctRevisions: readonly number[]

  /** `names`: every key of the history. */
  constructor(history: History, requests: readonly CheckedRequest[], names: SortedKeys) {
    this.#names = names
    this.#initial = history.header.initial ?? null
    this.#first = history.header.complete === true ? FIRST_REVISION : 0
    this.changes = requests.flatMap(changesFrom).sort((a, b) => a.revision - b.revision)
    this.#acknowledgedRevisions = this.changes.map(({ revision }) => revision)
    this.#distinctRevisions = [...new Set(this.#acknowledgedRevisions)]
    for (const change of this.changes) this.#keyHistory(change.key).changes.push(change)
    for (const request of requests) {
      const possible = possibleChangeFrom(request)
      if (possible !== undefined) this.#addPossibleChange(possible, this.#keyHistory(possible.key))
    }
    this.#findSharedRevisions()
    for (const keyHistory of this.#keys.values()) {
      this.#deduceAppends(keyHistory)
      this.#checkVersions(keyHistory)
    }
  }

  #addPossibleChange(possible: PossibleChange, { possibleChanges, earliest }: KeyHistory): void {
    possibleChanges.push(possible)
    const left = possible.at === undefined ? leftBy(possible.request) : undefined
    if (left === undefined) return
    earliest.set(left, Math.min(earliest.get(left) ?? Number.POSITIVE_INFINITY, possible.request.start))
  }

  /** Compares an observation with what is known. */
  observe(observation: Observation, check: Anomaly['check']): void {
    const problem = this.#findProblem(observation)
    if (problem === undefined) return
    const { change, what } = problem
    this.findings.push(finding(check, observation, change, `${observationText(observation)} ${what}`))
  }

  /**
   * Called once all observations are known. Every revision that was seen and that no acknowledged change made needs a
   * request that may have made it.
   */
  explain(): void {
    for (const keyHistory of this.#keys.values()) {
      this.#explainKey(keyHistory)
      keyHistory.seen = [...keyHistory.unexplained]
        .map(([revision, observation]) => ({ revision, observation }))
        .sort((a, b) => a.revision - b.revision)
    }
  }

  /**
   * Called once everything is explained: what a client saw binds all other observations, as if it had been
   * acknowledged.
   */
  observeAgain(observation: Observation): void {
    const { key, at, mod, value } = observation
    const keyHistory = this.#keyHistory(key)
    const seen = lastAmong(keyHistory.seen, at, ({ revision }) => revision)
    if (seen === undefined || mod === seen.revision) return
    const latest = lastAt(keyHistory.changes, at)
    if (latest !== undefined && latest.revision > seen.revision) return
    const { revision, observation: first } = seen
    if (typeof mod !== 'number') {
      const left = mod === null ? null : value
      if (left === undefined || left === first.value || (first.value === undefined && left !== null)) return
      if (this.#mayHaveLeft(keyHistory, left, revision, at, observation.end)) return
    }
    const what = `although ${first.by} saw it since revision ${revision}`
    this.findings.push(
      finding('revisions', observation, undefined, `${observationText(observation)} ${what}`, first.call),
    )
  }

  #findProblem(
    observation: Observation,
  ): { readonly change: Change | undefined; readonly what: string } | undefined {
    const { at, mod, value } = observation
    const keyHistory = this.#keyHistory(observation.key)
    const latest = lastAt(keyHistory.changes, at)
    if (typeof mod === 'number') {
      if (mod > at) return { change: undefined, what: `although the store was at ${at} only` }
      if (this.#first > 0 && mod <= this.#first)
        return { change: undefined, what: `although the store was empty at ${this.#first}` }
      if (latest !== undefined && latest.revision > mod) {
        return { change: latest, what: `although ${describe(latest)} lies between` }
      }
      if (latest?.revision !== mod) return this.#noteUnexplained(keyHistory, observation, mod)
      if (latest.value !== undefined && value !== undefined && latest.value !== value) {
        return { change: latest, what: `but ${describe(latest)} made that revision` }
      }
      const made = latest.request.result?.version
      if (made !== undefined && observation.version !== undefined && made !== observation.version)
        return {
          change: latest,
          what: `and calls that version ${observation.version}; ${describe(latest)} as version ${made}`,
        }
      return undefined
    }
    if (value === undefined && observation.version !== undefined)
      return this.#findWrongVersion(keyHistory, observation.version, latest, observation)
    // Without its own revision: the value of the last change, unless a change of unknown outcome came after it.
    const expected = latest === undefined ? this.#initial : latest.value
    const seen = mod === null ? null : value
    if (seen === undefined || expected === undefined || seen === expected) return undefined
    if (this.#mayHaveLeft(keyHistory, seen, latest?.revision ?? 0, at, observation.end)) return undefined
    return {
      change: latest,
      what: latest === undefined ? 'although nothing had changed it' : `although ${describe(latest)}`,
    }
  }

  /** An answer tells only the version: it is that of the last change, unless another one may have come after it. */
  #findWrongVersion(
    { possibleChanges }: KeyHistory,
    version: number,
    latest: Change | undefined,
    { at, end }: Pick<Observation, 'at' | 'end'>,
  ): { readonly change: Change | undefined; readonly what: string } | undefined {
    const isAbsent = latest === undefined ? this.#initial === null : latest.value === null
    const made = isAbsent ? 0 : latest?.request.result?.version
    if (made === undefined || made === version) return undefined
    const mayDiffer = possibleChanges.some(({ request }) => request.start < end)
    if (mayDiffer && this.#hasUnexplained(latest?.revision ?? 0, at)) return undefined
    return {
      change: latest,
      what: `as version ${version}, although ${latest === undefined ? 'nothing had changed it' : `${describe(latest)} as version ${made}`}`,
    }
  }

  /**
   * How many of the keys of a range existed at a revision, considering everything that had begun by `end`. Called when
   * everything is explained.
   */
  countKeys(
    range: KeyInterval,
    revision: number,
    end: number,
  ): { readonly least: number; readonly most: number } {
    // Keys that no request named are only known to have the initial value.
    if (this.#initial !== null) return { least: 0, most: Number.POSITIVE_INFINITY }
    let least = 0
    let most = 0
    for (const name of this.#names.in(range)) {
      const keyHistory = this.#keyHistory(name)
      const change = lastAt(keyHistory.changes, revision)
      const seen = lastAmong(keyHistory.seen, revision, (one) => one.revision)?.revision ?? 0
      const from = Math.max(seen, change?.revision ?? 0)
      const isThere = seen === from && seen > 0 ? true : change !== undefined && change.value !== null
      const mayDiffer = isThere
        ? this.#mayHaveLeft(keyHistory, null, from, revision, end)
        : this.#mayHaveMade(keyHistory, from, revision, end)
      if (isThere && !mayDiffer) least += 1
      if (isThere || mayDiffer) most += 1
    }
    return { least, most }
  }

  /** A change of unknown revision may have left this value above `from`, up to `to`. */
  #mayHaveLeft(keyHistory: KeyHistory, value: string | null, from: number, to: number, end: number): boolean {
    const { earliest, possibleChanges } = keyHistory
    if ((earliest.get(value) ?? end) < end && this.#hasUnexplained(from, to)) return true
    // Requests that leave one value in any case are covered by the earliest of them.
    return possibleChanges.some(
      ({ request, at }) =>
        (at === undefined
          ? leftBy(request) === undefined && this.#hasUnexplained(from, to)
          : from < at && at <= to) &&
        request.start < end &&
        canLeave(request, value),
    )
  }

  /** Such a change may have created the key. */
  #mayHaveMade({ possibleChanges }: KeyHistory, from: number, to: number, end: number): boolean {
    return (
      this.#hasUnexplained(from, to) &&
      possibleChanges.some(({ request }) => request.start < end && !deletes(request))
    )
  }

  /** A revision that no acknowledged change of this key made: all observations of it must agree. */
  #noteUnexplained(
    keyHistory: KeyHistory,
    observation: Observation,
    mod: number,
  ): { readonly change: Change | undefined; readonly what: string } | undefined {
    const made = this.changes[lastIndexUpTo(this.#acknowledgedRevisions, mod)]
    if (made?.revision === mod) return { change: made, what: `but ${describe(made)} made that revision` }
    const before = keyHistory.unexplained.get(mod)
    const first = before === undefined || observation.end < before.end ? observation : before
    const known = {
      value: before?.value ?? observation.value,
      version: before?.version ?? observation.version,
    }
    keyHistory.unexplained.set(mod, { ...first, ...known })
    if (observation.value !== undefined && known.value !== observation.value)
      return { change: undefined, what: `but ${before?.by} saw ${JSON.stringify(known.value)} there` }
    if (observation.version !== undefined && known.version !== observation.version)
      return {
        change: undefined,
        what: `as version ${observation.version}, but ${before?.by} saw version ${known.version} there`,
      }
    return undefined
  }

  /** Whether some request wrote it. Whether it was written too often is decided by the search. */
  #explainKey({ unexplained, earliest, possibleChanges }: KeyHistory): void {
    for (const [revision, observation] of unexplained) {
      const { value, end } = observation
      const isWritten =
        (this.#initial !== null && (value === undefined || value === this.#initial)) ||
        (typeof value === 'string' && (earliest.get(value) ?? end) < end) ||
        possibleChanges.some(
          ({ request }) =>
            request.start < end && (typeof value === 'string' ? canLeave(request, value) : !deletes(request)),
        )
      if (isWritten) continue
      const message = `${observationText({ ...observation, mod: revision })} which no request of unknown revision had written by then`
      this.findings.push(finding('revisions', observation, undefined, message))
    }
  }

  /** Whether there is a revision above `from`, up to `to`, that no acknowledged change has. */
  #hasUnexplained(from: number, to: number): boolean {
    return this.#countUnexplained(from, to) > 0
  }

  /** The number of revisions above `from`, up to `to`, that no acknowledged change has. */
  #countUnexplained(from: number, to: number): number {
    const above = Math.max(from, this.#first)
    if (to <= above) return 0
    return to - above - (indexAfter(this.#distinctRevisions, to) - indexAfter(this.#distinctRevisions, above))
  }

  #findSharedRevisions(): void {
    for (const [at, change] of this.changes.entries()) {
      const other = this.changes[at - 1]
      if (other?.revision !== change.revision || isOneTransaction(other, change)) continue
      this.findings.push({
        check: 'revisions',
        key: change.key,
        message: `${describe(other)} and ${describe(change)}: one revision for two changes`,
        calls: callIds(other, change),
      })
    }
  }

  /** A key's version counts its changes since it was created, if no other change can lie between two of them. */
  #checkVersions({ changes, possibleChanges }: KeyHistory): void {
    for (const [at, change] of changes.entries()) {
      const before = changes[at - 1]
      const { revision, key, value, request } = change
      const version = request.result?.version
      const from = before?.revision ?? 0
      const isMade = before === undefined ? this.#initial === null : before.value === null
      const count = isMade ? 0 : before?.request.result?.version
      if (version === undefined || value === null || count === undefined) continue
      // The state that it found tells whether it created the key.
      const met = metBy(request)
      if (version === count + 1 && (met === undefined || (met === 'nothing') === (version === 1))) continue
      // Changes that may lie between count too. If one of them deletes the key, the count may begin again.
      const between = possibleChanges.filter(({ request: other }) => other.start < request.end)
      const room = this.#countUnexplained(from, revision - 1)
      const makes = Math.min(room, between.filter(({ request: other }) => !deletes(other)).length)
      const mayDelete = room > 0 && between.some(({ request: other }) => deletes(other))
      const most = met === 'nothing' ? 1 : count + 1 + makes
      const least = Math.max(mayDelete ? 1 : count + 1, met === 'a key' ? 2 : 1)
      if (least <= version && version <= most) continue
      this.findings.push({
        check: 'revisions',
        key,
        message: `${describe(change)} and calls that version ${version}; it was version ${least}${most > least ? ` to ${most}` : ''}`,
        calls: before === undefined ? callIds(change) : callIds(before, change),
      })
    }
  }

  /** The result of an append is known if the value before it is, and no other change can lie between. */
  #deduceAppends(keyHistory: KeyHistory): void {
    let value: string | null | undefined = this.#initial
    for (const [at, change] of keyHistory.changes.entries()) {
      const op = change.request.calls[0]?.op
      if (op?.f === 'append' && change.value === undefined && keyHistory.possibleChanges.length === 0) {
        if (value !== undefined) keyHistory.changes[at] = { ...change, value: (value ?? '') + op.value }
      }
      value = keyHistory.changes[at]?.value
    }
  }

  #keyHistory(key: string): KeyHistory {
    const known = this.#keys.get(key)
    if (known !== undefined) return known
    const fresh: KeyHistory = {
      changes: [],
      possibleChanges: [],
      seen: [],
      earliest: new Map(),
      unexplained: new Map(),
    }
    this.#keys.set(key, fresh)
    return fresh
  }
}

/** The change that a request certainly made, when its revision is known too. */
function changesFrom(request: CheckedRequest): Change[] {
  const { result } = request
  const op = request.calls[0]?.op
  if (result === undefined || op === undefined || op.f === 'get' || op.f === 'range') return []
  const revision = result.modRevision ?? result.revision
  if (revision === undefined || result.applied === false) return []
  const change = plain(op)
  switch (change.f) {
    case 'put':
      return [{ revision, key: op.key, value: change.value, request }]
    case 'cas':
      return [{ revision, key: op.key, value: change.to, request }]
    case 'append':
      return [{ revision, key: op.key, value: result.value ?? undefined, request }]
    case 'del':
      // Only its answer tells whether an unconditional delete found anything.
      return result.deleted === 1 || (result.deleted === undefined && change.ifRevision !== undefined)
        ? [{ revision, key: op.key, value: null, request }]
        : []
    case 'get':
      return []
  }
}

/** A request that may have changed its key at a revision that no client knows. */
function possibleChangeFrom(
  request: CheckedRequest,
): (PossibleChange & { readonly key: string }) | undefined {
  const { result } = request
  const op = request.calls[0]?.op
  if (op === undefined || op.f === 'get' || op.f === 'range') return undefined
  if (result === undefined) return { request, key: op.key, at: undefined }
  if (result.applied === false || result.deleted === 0) return undefined
  const at = result.modRevision ?? result.revision
  const isKnown = at !== undefined && changesFrom(request).length > 0
  return isKnown ? undefined : { request, key: op.key, at }
}

/** The one value that a request leaves whatever was there before; undefined: it depends. */
function leftBy(request: CheckedRequest): string | null | undefined {
  const op = request.calls[0]?.op
  if (op === undefined || op.f === 'range') return undefined
  const change = plain(op)
  switch (change.f) {
    case 'put':
      return change.value
    case 'cas':
      return change.to
    case 'append':
      return request.result?.value ?? undefined
    case 'del':
      return null
    case 'get':
      return undefined
  }
}

function deletes({ calls: [call] }: CheckedRequest): boolean {
  return call?.op.f === 'del' || call?.op.f === 'release'
}

/** The state that the condition of a change implies; undefined: it has none. */
function metBy(request: CheckedRequest): 'nothing' | 'a key' | undefined {
  const op = request.calls[0]?.op
  if (op === undefined || op.f === 'range') return undefined
  const change = plain(op)
  if (change.f === 'cas') return change.from === null ? 'nothing' : 'a key'
  if (change.f !== 'put' && change.f !== 'del') return undefined
  if (change.ifAbsent) return 'nothing'
  return change.ifRevision === undefined ? undefined : 'a key'
}

/** Whether a request may have left this value. */
function canLeave(request: CheckedRequest, value: string | null): boolean {
  const left = leftBy(request)
  if (left !== undefined) return left === value
  const op = request.calls[0]?.op
  return op?.f === 'append' && value?.endsWith(op.value) === true
}

/** The state that an answered request saw, whether or not it then changed it. */
export function observationsFrom(request: CheckedRequest): Observation[] {
  const [call] = request.calls
  const { result, end } = request
  if (call === undefined || result === undefined) return []
  const { op, id } = call
  const observation = (
    key: string,
    at: number,
    seen: Pick<Observation, 'mod' | 'value'> & { readonly version?: number | undefined },
  ): Observation => ({
    version: undefined,
    ...seen,
    key,
    at,
    end,
    call: id,
    by: `operation ${id}`,
  })
  if (op.f === 'range') return []
  // Without the store's revision the key's revision is used: what was seen existed at least then.
  const revision = result.revision ?? result.modRevision
  if (revision === undefined) return []
  const change = plain(op)
  if (change.f === 'get') {
    if ([result.value, result.modRevision, result.version].every((seen) => seen === undefined)) return []
    const mod = result.value === null ? null : result.modRevision
    return [observation(op.key, revision, { mod, value: result.value, version: result.version })]
  }
  if (result.applied === false) {
    return [
      observation(op.key, revision, {
        mod: result.current,
        value: change.f === 'cas' ? result.value : undefined,
      }),
    ]
  }
  // A change that was made saw the state just before it.
  if (change.f === 'del' && result.deleted === 0)
    return [observation(op.key, revision, { mod: null, value: null })]
  if (change.f === 'cas') return [observation(op.key, revision - 1, { mod: undefined, value: change.from })]
  if (change.f === 'append') {
    const whole = result.value
    if (typeof whole !== 'string' || !whole.endsWith(change.value)) return []
    // An absent value and an empty one look the same after an append.
    const rest = whole.slice(0, whole.length - change.value.length)
    return rest === '' ? [] : [observation(op.key, revision - 1, { mod: undefined, value: rest })]
  }
  if (change.ifRevision !== undefined) {
    return [observation(op.key, revision - 1, { mod: change.ifRevision, value: undefined })]
  }
  if (change.f === 'put' && change.ifAbsent)
    return [observation(op.key, revision - 1, { mod: null, value: null })]
  return []
}

/** All keys that rows cover at one revision: those in the rows, and those in `names` that are missing. */
export function* observationsOfRows(
  rows: readonly ListedRow[],
  covered: KeyInterval,
  names: SortedKeys,
  base: Pick<Observation, 'at' | 'end' | 'call' | 'by'>,
): Generator<Observation> {
  const seen = new Set<string>()
  for (const { key, value, version, modRevision } of rows) {
    seen.add(key)
    yield { ...base, key, value, version, mod: modRevision }
  }
  for (const key of names.in(covered)) {
    if (!seen.has(key)) yield { ...base, key, value: null, version: undefined, mod: null }
  }
}

/**
 * The revision of the store in an answer. For a change the key's revision is the same. For a read it is not, because
 * the key may have been unchanged for long.
 */
export function reportedRevision({ op }: HistoryCall, result: RecordedResult): number | undefined {
  const isChange = op.f !== 'get' && op.f !== 'range' && result.applied !== false
  return isChange ? (result.modRevision ?? result.revision) : result.revision
}

function finding(
  check: Anomaly['check'],
  observation: Observation,
  change: Change | undefined,
  message: string,
  other?: number,
): Anomaly {
  const calls = [...(change?.request.calls.map(({ id }) => id) ?? []), other, observation.call]
  return { check, key: observation.key, message, calls: calls.filter((id) => id !== undefined) }
}

function observationText({ by, key, at, mod, value }: Observation): string {
  const what =
    mod === null || value === null ? 'absent' : value === undefined ? 'there' : JSON.stringify(value)
  const since = typeof mod === 'number' ? ` since revision ${mod}` : ''
  return `${by} saw ${key} at revision ${at}: ${what}${since},`
}

function describe({ revision, key, value, request }: Change): string {
  const what =
    value === null
      ? `deleted ${key}`
      : `set ${key} to ${value === undefined ? 'something' : JSON.stringify(value)}`
  return `operation ${request.calls[0]?.id} ${what} at revision ${revision}`
}

/** The changes of a transaction make one revision. revisions.ts finds those that did not overlap. */
function isOneTransaction(a: Change, b: Change): boolean {
  const [number, other] = [a, b].map(({ request }) => request.calls[0]?.transaction)
  return number !== undefined && number === other && a.key !== b.key
}

const callIds = (...changes: readonly Change[]): number[] =>
  changes.flatMap(({ request }) => request.calls.map(({ id }) => id))

/** The last change up to a revision. */
const lastAt = (changes: readonly Change[], revision: number): Change | undefined =>
  lastAmong(changes, revision, (change) => change.revision)

/** The last item of a rising list up to a revision. */
const lastAmong = <T>(
  rising: readonly T[],
  revision: number,
  revisionOf: (one: T) => number,
): T | undefined => rising[countWhile(rising, (one) => revisionOf(one) <= revision) - 1]

/** How many of the rising numbers are not greater. */
const indexAfter = (rising: readonly number[], value: number): number =>
  countWhile(rising, (one) => one <= value)

const lastIndexUpTo = (rising: readonly number[], value: number): number => indexAfter(rising, value) - 1
