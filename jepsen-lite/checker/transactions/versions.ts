// Each key as the row of its versions: who wrote each, and who read it. Answers name the mod revisions of keys, which
// are the order of versions. A version that only readers have named was made by a write of unknown outcome: by the only
// one that wrote this value.
//
// Some anomalies show without any cycle; they are reported here.

import { countWhile } from '../../workload/sorted.ts'
import type { AbortedWrite, CheckedTransaction, Read, Transactions, TransactionWrite } from './transaction.ts'

/** Transactions are numbers: places in the list. */
export interface KeyVersions {
  readonly key: string
  /** In their order; the first is the absent key of the beginning. */
  readonly versions: readonly Version[]
  readonly reads: readonly VersionRead[]
  /** Transactions that certainly wrote it at some time after a version; when exactly is not known. */
  readonly later: readonly { readonly than: number; readonly transactions: readonly number[] }[]
}

interface VersionRead {
  readonly transaction: number
  readonly version: number
  /**
   * The latest version that explains what was read. It is another one if the key was absent, was written and deleted,
   * and the transaction took effect only then: a store compares an absent key with nothing but its absence.
   */
  readonly latest: number
}

interface Version {
  /** undefined: not known. */
  readonly writer: number | undefined
  /** Name of the version in messages for people. */
  readonly name: string
}

/** An anomaly that needs no cycle. */
export interface DirectAnomaly {
  readonly name: 'G1a' | 'G1b' | 'garbage-read' | 'incompatible-order' | 'internal'
  readonly key: string
  /** Sentence for people that names the transactions `T0`, `T1`, … */
  readonly message: string
  readonly transactions: readonly number[]
  /** Calls that belong to no transaction. */
  readonly calls: readonly number[]
}

interface PlacedStep<Step> {
  readonly transaction: number
  /** Place of the step among those of its transaction. */
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

export function orderVersions(
  { all, failed }: Transactions,
  initial: string | null,
  report: Report,
): KeyVersions[] {
  const keys = new Map<string, Key>()
  const findKey = (name: string): Key => {
    const found = keys.get(name)
    if (found !== undefined) return found
    const made: Key = { name, writes: [], reads: [], failed: [] }
    keys.set(name, made)
    return made
  }
  for (const [transaction, { steps, end }] of all.entries()) {
    const isCertain = end !== Number.POSITIVE_INFINITY
    for (const [at, step] of steps.entries()) {
      if (step.f === 'write') findKey(step.key).writes.push({ transaction, at, step, isCertain })
      else findKey(step.key).reads.push({ transaction, at, step, isCertain })
    }
  }
  for (const write of failed) keys.get(write.key)?.failed.push(write)
  const lastRevisions = all.map(lastRevision)
  return [...keys.values()].map((key) => {
    const versions = versionsOfKey(key, initial, lastRevisions, report)
    reportIntermediate(versions, report)
    return versions
  })
}

/** The last revision that the answers to a transaction name. It took effect no later. */
const lastRevision = ({ steps }: CheckedTransaction): number =>
  steps.reduce((last, step) => {
    const revision = step.f === 'read' ? step.revision : step.version
    return Math.max(last, revision ?? Number.POSITIVE_INFINITY)
  }, 0)

function versionsOfKey(
  { name, writes, reads, failed }: Key,
  initial: string | null,
  lastRevisions: readonly number[],
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
  const findPlace = new Map(order.map((version, place) => [version, place + 1]))
  const absentAt = placeOfAbsence(writes, order, made)
  const versions = [
    START,
    ...order.map((version) => ({ writer: made.get(version)?.transaction, name: `revision ${version}` })),
  ]
  const own = [undefined, ...order.map((version) => made.get(version))]
  const byWriter = Map.groupBy(own.keys(), (place) => own[place]?.transaction)
  const absent = [...own.keys()].filter((place) => place === 0 || own[place]?.step.value === null)
  const latestAbsence = (place: number, transaction: number): number => {
    const lastSeen = countWhile(order, (version) => version <= (lastRevisions[transaction] ?? 0))
    const nextOwn = byWriter.get(transaction)?.find((one) => one > place) ?? Number.POSITIVE_INFINITY
    return absent[countWhile(absent, (one) => one <= lastSeen && one < nextOwn) - 1] ?? place
  }
  const placed = reads.flatMap(({ transaction, at, step }) => {
    const { value, version, revision } = step
    const place =
      value === null ? absentAt(revision) : version === undefined ? undefined : findPlace.get(version)
    if (place === undefined) return []
    const latest = value === null ? Math.max(place, latestAbsence(place, transaction)) : place
    return [{ transaction, at, version: place, latest, step }]
  })
  reportOwnUnseen(name, versions, own, byWriter, placed, report)
  // A delete of unknown revision may have found nothing.
  const written = loose.filter(({ step }) => step.value !== null)
  return { key: name, versions, reads: placed, later: laterOnes(written, placed, versions) }
}

/** A read is of no version before one that its transaction had made by then, and of none that it made only later. */
function reportOwnUnseen(
  key: string,
  versions: readonly Version[],
  made: readonly (PlacedStep<TransactionWrite> | undefined)[],
  byWriter: ReadonlyMap<number | undefined, readonly number[]>,
  reads: readonly { readonly transaction: number; readonly version: number; readonly step: Read }[],
  report: Report,
): void {
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

/** A transaction that reads a version and then writes the key writes a later version. */
function laterOnes(
  writes: readonly PlacedStep<TransactionWrite>[],
  reads: readonly { readonly transaction: number; readonly at: number; readonly version: number }[],
  versions: readonly Version[],
): KeyVersions['later'] {
  const lastWrite = new Map<number, number>()
  for (const { transaction, at, isCertain } of writes) if (isCertain) lastWrite.set(transaction, at)
  const later = new Map<number, Set<number>>()
  for (const { transaction, at, version } of reads) {
    if (at > (lastWrite.get(transaction) ?? -1) || versions[version]?.writer === transaction) continue
    const known = later.get(version)
    if (known === undefined) later.set(version, new Set([transaction]))
    else known.add(transaction)
  }
  return [...later].map(([than, transactions]) => ({ than, transactions: [...transactions] }))
}

function reportIntermediate({ key, versions, reads }: KeyVersions, report: Report): void {
  const last = new Map<number, number>()
  for (const [place, { writer }] of versions.entries()) if (writer !== undefined) last.set(writer, place)
  for (const { transaction, version, latest } of reads) {
    const { writer, name } = versions[version] ?? START
    if (latest > version || writer === undefined || writer === transaction || last.get(writer) === version)
      continue
    report({
      name: 'G1b',
      key,
      message: `intermediate read: T1 read ${name} of ${key}, which T0 wrote, but T0 wrote ${key} again later`,
      transactions: [writer, transaction],
      calls: [],
    })
  }
}
