// Each key as the row of its versions: who wrote each, and who read it. There are three ways to know them.
//
//   by revision   Answers that name mod revisions give the order at once. A version that only readers have named was
//                 made by a write of unknown outcome: by the only one that wrote this value.
//   by pieces     The value of a key that is only appended to shows all appends, in their order (Elle's list-append).
//   by value      The versions are known, if each value is written once, but not their order.
//
// Some anomalies show without any cycle; they are reported here.

import { countWhile } from '../../workload/sorted.ts'
import type { AbortedWrite, Read, Transactions, TransactionWrite } from './transaction.ts'

/** Transactions are numbers: places in the list. */
export interface KeyVersions {
  readonly key: string
  /** The first is the absent key of the beginning. */
  readonly versions: readonly Version[]
  /** `versions` is their order, and there is no other version between two of them that has a known writer. */
  readonly isOrdered: boolean
  readonly reads: readonly { readonly transaction: number; readonly version: number }[]
  /** Transactions that certainly wrote it at some time after a version; when exactly is not known. */
  readonly later: readonly { readonly than: number; readonly transactions: readonly number[] }[]
}

export interface Version {
  /** undefined: not known. */
  readonly writer: number | undefined
  /** For people. */
  readonly name: string
}

/** An anomaly that needs no cycle. */
export interface DirectAnomaly {
  readonly name: 'G1a' | 'G1b' | 'garbage-read' | 'incompatible-order' | 'duplicate-element' | 'internal'
  readonly key: string
  /** With `T0`, `T1`, … for the transactions. */
  readonly message: string
  readonly transactions: readonly number[]
  /** Calls that belong to no transaction. */
  readonly calls: readonly number[]
}

interface PlacedStep<Step> {
  readonly transaction: number
  /** Its place among the steps of the transaction. */
  readonly at: number
  readonly step: Step
  readonly isCertain: boolean
}

interface Key {
  readonly name: string
  readonly writes: PlacedStep<TransactionWrite>[]
  readonly reads: PlacedStep<Read>[]
  readonly failed: AbortedWrite[]
}

type Report = (anomaly: DirectAnomaly) => void

export function versionsOf(
  { all, failed }: Transactions,
  initial: string | null,
  report: Report,
): KeyVersions[] {
  const keys = new Map<string, Key>()
  const keyOf = (name: string): Key => {
    const found = keys.get(name)
    if (found !== undefined) return found
    const made: Key = { name, writes: [], reads: [], failed: [] }
    keys.set(name, made)
    return made
  }
  for (const [transaction, { steps, end }] of all.entries()) {
    const isCertain = end !== Number.POSITIVE_INFINITY
    for (const [at, step] of steps.entries()) {
      if (step.f === 'write') keyOf(step.key).writes.push({ transaction, at, step, isCertain })
      else keyOf(step.key).reads.push({ transaction, at, step, isCertain })
    }
  }
  for (const write of failed) keys.get(write.key)?.failed.push(write)
  return [...keys.values()].map((key) => {
    const versions = inOrderKnown(key, initial, report)
    reportIntermediate(versions, report)
    return versions
  })
}

function inOrderKnown(key: Key, initial: string | null, report: Report): KeyVersions {
  const tellsRevisions = [...key.writes, ...key.reads].some(({ step }) => step.version !== undefined)
  if (tellsRevisions) return byRevision(key, initial, report)
  const isOnlyAppended = key.writes.length > 0 && key.writes.every(({ step }) => step.piece !== undefined)
  return (isOnlyAppended ? byPieces(key, initial, report) : undefined) ?? byValue(key, initial, report)
}

// ---- by revision

function byRevision(
  { name, writes, reads, failed }: Key,
  initial: string | null,
  report: Report,
): KeyVersions {
  const made = new Map<number, PlacedStep<TransactionWrite> | undefined>()
  const loose: PlacedStep<TransactionWrite>[] = []
  for (const write of writes) {
    const { version } = write.step
    const other = version === undefined ? undefined : made.get(version)
    if (other !== undefined && other.transaction !== write.transaction) {
      report({
        name: 'incompatible-order',
        key: name,
        message: `T0 and T1 both wrote revision ${version} of ${name}`,
        transactions: [other.transaction, write.transaction],
        calls: [],
      })
    }
    if (version === undefined) loose.push(write)
    else made.set(version, write)
  }
  const matches = (write: Pick<TransactionWrite, 'value' | 'piece'>, value: string): boolean =>
    write.piece === undefined ? write.value === value : value.endsWith(write.piece)
  for (const read of reads) {
    const { version, value } = read.step
    if (version === undefined || typeof value !== 'string') continue
    const writer = made.get(version)
    if (writer !== undefined) {
      const { value: written, piece } = writer.step
      if (written === value || (written === undefined && piece !== undefined && value.endsWith(piece)))
        continue
      report({
        name: 'garbage-read',
        key: name,
        message: `T1 read another value of ${name} at revision ${version} than T0 wrote there`,
        transactions: [writer.transaction, read.transaction],
        calls: [],
      })
    } else if (!made.has(version)) {
      const candidates = loose.filter(({ step }) => matches(step, value))
      made.set(version, candidates.length === 1 ? candidates[0] : undefined)
      if (candidates.length === 0 && value !== initial)
        reportUnwritten(
          name,
          read,
          failed.find((write) => matches(write, value)),
          report,
        )
    }
  }
  const order = [...made.keys()].sort((a, b) => a - b)
  const placeOf = new Map(order.map((version, place) => [version, place + 1]))
  const absentAt = placeOfAbsence(writes, order, made)
  const placed = reads.flatMap(({ transaction, at, step }) => {
    const { value, version, revision } = step
    const place =
      value === null ? absentAt(revision) : version === undefined ? undefined : placeOf.get(version)
    return place === undefined ? [] : [{ transaction, at, version: place, step }]
  })
  const versions = [
    START,
    ...order.map((version) => ({ writer: made.get(version)?.transaction, name: `revision ${version}` })),
  ]
  const own = [undefined, ...order.map((version) => made.get(version))]
  reportOwnUnseen(name, versions, own, placed, report)
  // A delete of unknown revision may have found nothing.
  const written = loose.filter(({ step }) => step.value !== null)
  const later = laterOnes(written, placed, versions, false)
  return { key: name, isOrdered: true, versions, reads: placed, later }
}

/** A read is of no version before one that its transaction had made by then, and of none that it made only later. */
function reportOwnUnseen(
  key: string,
  versions: readonly Version[],
  made: readonly (PlacedStep<TransactionWrite> | undefined)[],
  reads: readonly { readonly transaction: number; readonly version: number; readonly step: Read }[],
  report: Report,
): void {
  const byWriter = Map.groupBy(made.keys(), (place) => made[place]?.transaction)
  for (const { transaction, version, step } of reads) {
    const wrong = byWriter.get(transaction)?.find((place) => {
      const write = made[place]?.step
      if (write === undefined) return false
      return (write.end < step.start && version < place) || (step.end < write.start && version >= place)
    })
    if (wrong === undefined) continue
    report({
      name: 'internal',
      key,
      message: `T0 read ${versions[version]?.name} of ${key}, and had ${wrong > version ? '' : 'not '}written ${versions[wrong]?.name} itself before`,
      transactions: [transaction],
      calls: [],
    })
  }
}

const START: Version = { writer: undefined, name: 'the first state' }

/** The version that a reader saw if the key does not exist at this revision of the store. */
function placeOfAbsence(
  writes: readonly PlacedStep<TransactionWrite>[],
  order: readonly number[],
  made: ReadonlyMap<number, PlacedStep<TransactionWrite> | undefined>,
): (revision: number | undefined) => number | undefined {
  const deletes = writes.filter(({ step }) => step.value === null)
  if (deletes.length === 0) return () => 0
  if (deletes.some(({ step }) => step.version === undefined)) return () => undefined
  return (revision) => {
    if (revision === undefined) return undefined
    const from = countWhile(order, (version) => version <= revision)
    const last = order[from - 1]
    // If a write was there at that time, the check by revisions reports it.
    return last === undefined || made.get(last)?.step.value === null ? from : undefined
  }
}

function reportUnwritten(
  key: string,
  read: PlacedStep<Read>,
  failed: AbortedWrite | undefined,
  report: Report,
): void {
  report({
    name: failed === undefined ? 'garbage-read' : 'G1a',
    key,
    message:
      failed === undefined
        ? `T0 read a value of ${key} that no transaction wrote`
        : `aborted read: T0 read what operation ${failed.id} would have written to ${key}, and that operation certainly failed`,
    transactions: [read.transaction],
    calls: failed === undefined ? [] : [failed.id],
  })
}

// ---- by pieces

/** undefined: the pieces are ambiguous, because one begins like another. */
function byPieces(key: Key, initial: string | null, report: Report): KeyVersions | undefined {
  const { name, writes, reads, failed } = key
  const start = initial ?? ''
  const textOf = ({ step }: PlacedStep<Read>): string => step.value ?? ''
  const texts = reads.filter(({ step }) => step.value !== undefined)
  const longest = texts.reduce(
    (best, read) => (textOf(read).length > best.length ? textOf(read) : best),
    start,
  )
  const writers = Map.groupBy(writes, ({ step }) => step.piece ?? '')
  const reader = texts.find((read) => textOf(read) === longest)
  const parts = longest.startsWith(start) ? split(longest, start.length, writers, failed) : []
  if (parts === undefined) return undefined
  const seen = new Set<string>()
  const versions: Version[] = [START]
  const placeOf = new Map([[start.length, 0]])
  let length = start.length
  for (const piece of parts) {
    length += piece.length
    const by = writers.get(piece) ?? []
    if (by.length === 0 && reader !== undefined)
      reportUnwritten(
        name,
        reader,
        failed.find((write) => write.piece === piece),
        report,
      )
    if (seen.has(piece) && by.length === 1 && reader !== undefined) {
      report({
        name: 'duplicate-element',
        key: name,
        message: `T1 read ${JSON.stringify(piece)} twice in ${name}; only T0 appended it, once`,
        transactions: [by[0]?.transaction ?? 0, reader.transaction],
        calls: [],
      })
    }
    versions.push({
      writer: by.length === 1 && !seen.has(piece) ? by[0]?.transaction : undefined,
      name: JSON.stringify(piece),
    })
    seen.add(piece)
    placeOf.set(length, versions.length - 1)
  }
  const placed: { transaction: number; version: number }[] = []
  for (const read of texts) {
    const text = textOf(read)
    const version = longest.startsWith(text) ? placeOf.get(text.length) : undefined
    if (version !== undefined) placed.push({ transaction: read.transaction, version })
    else
      report({
        name: 'incompatible-order',
        key: name,
        message: `T0 read ${shown(text)} in ${name}, which is no beginning of what T1 read: ${shown(longest)}`,
        transactions: [read.transaction, reader?.transaction ?? read.transaction],
        calls: [],
      })
  }
  reportInternal(key, report)
  const unseen = writes.filter(({ step, isCertain }) => isCertain && !seen.has(step.piece ?? ''))
  const transactions = [...new Set(unseen.map(({ transaction }) => transaction))]
  return {
    key: name,
    isOrdered: true,
    versions,
    reads: placed,
    later: [{ than: versions.length - 1, transactions }],
  }
}

/** A part that nobody wrote is the last one. */
function split(
  text: string,
  from: number,
  writers: ReadonlyMap<string, unknown>,
  failed: readonly AbortedWrite[],
): string[] | undefined {
  const pieces = new Set([...writers.keys(), ...failed.flatMap(({ piece }) => piece ?? [])])
  const lengths = [...new Set([...pieces].map(({ length }) => length))].filter((length) => length > 0)
  const parts: string[] = []
  for (let at = from; at < text.length; ) {
    const found = lengths.map((length) => text.slice(at, at + length)).filter((part) => pieces.has(part))
    const fitting = new Set(found)
    if (fitting.size > 1) return undefined
    const part = found[0] ?? text.slice(at)
    parts.push(part)
    at += part.length
  }
  return parts
}

const shown = (text: string): string => JSON.stringify(text.length <= 60 ? text : `…${text.slice(-60)}`)

// ---- by value

function byValue(key: Key, initial: string | null, report: Report): KeyVersions {
  const { name, writes, reads, failed } = key
  // The result of an append to a value that another kind of write made is not known.
  const known = writes.filter(({ step }) => step.value !== undefined)
  const writers = Map.groupBy(known, ({ step }) => step.value ?? null)
  const isAppended = writes.some(({ step }) => step.value === undefined)
  const versions: Version[] = [START]
  const placeOf = new Map<string | null, number>()
  for (const [value, by] of writers) {
    if (by.length !== 1 || value === initial) continue
    placeOf.set(value, versions.length)
    versions.push({ writer: by[0]?.transaction, name: value === null ? 'absent' : shown(value) })
  }
  if (!writers.has(initial)) placeOf.set(initial, 0)
  for (const read of reads) {
    const { value } = read.step
    if (value === undefined || value === null || value === initial || writers.has(value) || isAppended)
      continue
    reportUnwritten(
      name,
      read,
      failed.find((write) =>
        write.piece === undefined ? write.value === value : value.endsWith(write.piece),
      ),
      report,
    )
  }
  reportInternal(key, report)
  const placed = reads.flatMap(({ transaction, at, step }) => {
    const version = step.value === undefined ? undefined : placeOf.get(step.value)
    return version === undefined ? [] : [{ transaction, at, version }]
  })
  return {
    key: name,
    isOrdered: false,
    versions,
    reads: placed,
    later: laterOnes(writes, placed, versions, !writers.has(initial)),
  }
}

/** A transaction that reads a version and then writes the key writes a later version. All are later than the first. */
function laterOnes(
  writes: readonly PlacedStep<TransactionWrite>[],
  reads: readonly { readonly transaction: number; readonly at: number; readonly version: number }[],
  versions: readonly Version[],
  isFirstGone: boolean,
): KeyVersions['later'] {
  const lastWrite = new Map<number, number>()
  for (const { transaction, at, isCertain } of writes) if (isCertain) lastWrite.set(transaction, at)
  const later = new Map<number, Set<number>>(isFirstGone ? [[0, new Set(lastWrite.keys())]] : [])
  for (const { transaction, at, version } of reads) {
    if (at > (lastWrite.get(transaction) ?? -1) || versions[version]?.writer === transaction) continue
    const known = later.get(version)
    if (known === undefined) later.set(version, new Set([transaction]))
    else known.add(transaction)
  }
  return [...later].map(([than, transactions]) => ({ than, transactions: [...transactions] }))
}

// ---- anomalies inside a transaction, or of one that was seen half-way

/**
 * In a transaction, a read sees what the transaction wrote or read before. After a write of unknown outcome nothing is
 * known: it may have been made, or be made later.
 */
function reportInternal({ name, writes, reads }: Key, report: Report): void {
  const all: PlacedStep<Read | TransactionWrite>[] = [...writes, ...reads]
  for (const [transaction, parts] of Map.groupBy(all, (step) => step.transaction)) {
    if (parts.length < 2) continue
    /** undefined: not known. */
    let value: string | null | undefined
    let ending = ''
    for (const { step } of parts.sort((a, b) => a.at - b.at)) {
      if (step.f === 'write') {
        if (step.end === Number.POSITIVE_INFINITY) break
        const appended =
          step.piece !== undefined && value !== undefined ? (value ?? '') + step.piece : undefined
        ending = step.piece === undefined ? '' : ending + step.piece
        value = step.piece === undefined ? step.value : appended
      } else if (step.value !== undefined) {
        const text = step.value
        if ((value !== undefined && text !== value) || !(text ?? '').endsWith(ending)) {
          report({
            name: 'internal',
            key: name,
            message: `T0 read ${text === null ? 'nothing' : shown(text)} in ${name}, against what it had read or written itself before`,
            transactions: [transaction],
            calls: [],
          })
          break
        }
        value = text
      }
    }
  }
}

function reportIntermediate({ key, versions, reads }: KeyVersions, report: Report): void {
  const last = new Map<number, number>()
  for (const [place, { writer }] of versions.entries()) if (writer !== undefined) last.set(writer, place)
  for (const { transaction, version } of reads) {
    const { writer, name } = versions[version] ?? START
    if (writer === undefined || writer === transaction || last.get(writer) === version) continue
    report({
      name: 'G1b',
      key,
      message: `intermediate read: T1 read ${name} of ${key}, which T0 wrote, but T0 wrote ${key} again later`,
      transactions: [writer, transaction],
      calls: [],
    })
  }
}
