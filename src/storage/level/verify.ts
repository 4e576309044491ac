// Checks the files of a database before LevelDB may open it, and changes none of them.
//
// LevelDB's recovery drops unreadable data, rewrites the rest and deletes the evidence. A flipped bit in a WAL loses
// the rest of a block; a lost end of MANIFEST or a lost WAL loses everything in it; all without an error. For a
// replica that may be a forgotten vote. So everything that was ever written must still exist without damage:
//
// - CURRENT names a MANIFEST; every frame of that and of every live WAL matches its checksum;
// - every table exists and has its size, and all of its blocks match their checksums;
// - the WAL that MANIFEST names exists;
// - sequence numbers have no gap through all WALs; they begin no later than the one in MANIFEST and end no earlier than
//   it;
// - they end no earlier than the mark in the side file (watermark.ts).
//
// Two exceptions are allowed. One is an interrupted append: half a record at the end of the newest WAL that is not
// empty. The other is a MANIFEST that counts a failed write, when the side file has a note of it: the acknowledged
// writes end before it.

import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import type { FailedWrite, WatermarkContent } from '../watermark.ts'
import { type LogFile, readLogFile } from './log-file.ts'
import { Manifest } from './manifest.ts'
import type { Wals } from './skipped-wals.ts'
import { tableFault } from './table.ts'

/** A fault, and the file that has it. */
export class Damage extends Error {
  readonly file: string

  constructor(file: string, detail: string) {
    super(detail)
    this.file = file
  }
}

interface VerifyOptions {
  readonly reached: WatermarkContent
  readonly discardSuspectTail: boolean
}

/** The extent of a database. */
export interface Extent {
  /** LevelDB's sequence number. It continues to count from there. */
  readonly sequence: number
  /** The last batch ends at this sequence number or later. It equals `sequence` unless that counts a failed write. */
  readonly heldTo: number
}

export interface VerifiedDatabase extends Extent {
  /** The WALs that LevelDB must recover. */
  readonly wals: Wals
  /** Bytes of the tables and these WALs. */
  readonly bytes: number
}

/**
 * Content of a WAL record: sequence number of its first operation (8, little-endian), number of operations (4),
 * operations.
 */
const WAL_RECORD_HEADER_BYTES = 12

/** A whole record after a fault counts as one of this WAL if its sequence number is at most this far ahead. */
const SEQUENCES_AHEAD_MAX = 2 ** 32

/** Reads all files of the database, with pauses for other events. Rejects with `Damage`. */
export async function verifyDatabase(
  dir: string,
  { reached, discardSuspectTail }: VerifyOptions,
): Promise<VerifiedDatabase> {
  const names = readdirSync(dir)
  const manifestName = readCurrent(dir, names)
  const manifest = readManifest(dir, manifestName)
  await checkTables(dir, manifest)
  const { lastSequence } = manifest
  const counted = findCountedWrite(lastSequence, reached.failed)
  const wals = readWals(dir, names, manifestName, manifest)
  const end = walkLogs(wals, manifestName, manifest, counted, discardSuspectTail) ?? lastSequence
  if (reached.mark !== undefined && end < reached.mark)
    throw new Damage(
      `${parseWalNames(names).at(-1)?.name ?? 'the newest .log file'} or another WAL`,
      `acknowledged writes are missing: the database ends at sequence number ${end}, ` +
        `but ${reached.mark} had been reached (a WAL was emptied, deleted or cut off)`,
    )
  const sizes = [...manifest.manifest.tables].map(({ bytes }) => bytes)
  for (const { length } of wals.values()) sizes.push(length)
  const bytes = sizes.reduce((sum, size) => sum + size, 0)
  if (counted !== undefined && end <= lastSequence)
    return { sequence: lastSequence, heldTo: counted.from, wals, bytes }
  return { sequence: end, heldTo: end, wals, bytes }
}

/** The failed write, when MANIFEST counts it and nothing else after the acknowledged batches. */
const findCountedWrite = (lastSequence: number, failed: FailedWrite | undefined): FailedWrite | undefined =>
  failed !== undefined && lastSequence > failed.from && lastSequence <= failed.through ? failed : undefined

function readCurrent(dir: string, names: readonly string[]): string {
  if (!names.includes('CURRENT')) throw new Damage('CURRENT', 'the file is missing')
  const text = readFileSync(join(dir, 'CURRENT'), 'latin1')
  const [, manifestName] = /^(MANIFEST-[0-9]+)\n$/.exec(text) ?? []
  if (manifestName === undefined) throw new Damage('CURRENT', 'it does not name a MANIFEST')
  if (!names.includes(manifestName))
    throw new Damage(manifestName, 'the file is missing, although CURRENT names it')
  return manifestName
}

interface Position {
  readonly oldestLog: number
  readonly prevLog: number
  readonly lastSequence: number
  readonly manifest: Manifest
}

function readManifest(dir: string, name: string): Position {
  const manifest = new Manifest()
  const end = readInPieces(join(dir, name), (file) =>
    readLogFile(
      file,
      (edit) => manifest.add(edit),
      () => true,
    ),
  )
  // An edit that was cut off never took effect. The files that it would have replaced still exist, or the checks below
  // miss them.
  if (end.kind === 'corrupt') throw new Damage(name, `at byte ${end.at}: ${end.detail}`)
  if (end.kind === 'suspect')
    throw new Damage(name, `at byte ${end.at}: the checksum of the last frame does not hold`)
  const { comparator, logNumber, prevLogNumber, nextFile, lastSequence } = manifest
  if (
    comparator === undefined ||
    logNumber === undefined ||
    nextFile === undefined ||
    lastSequence === undefined
  )
    throw new Damage(name, 'its beginning is missing')
  return { oldestLog: logNumber, prevLog: prevLogNumber, lastSequence, manifest }
}

/** The sequence number in MANIFEST. */
export const manifestSequence = (dir: string): number =>
  readManifest(dir, readCurrent(dir, readdirSync(dir))).lastSequence

/**
 * LevelDB appends to MANIFEST until the next start, some hundred bytes for each MiB written. After months it may be
 * larger than what Node can read at once.
 */
function readInPieces<T>(path: string, read: (file: LogFile) => T): T {
  const file = openSync(path, 'r')
  try {
    const piece = (from: number, to: number): Uint8Array => {
      const bytes = Buffer.alloc(to - from)
      if (readSync(file, bytes, 0, bytes.length, from) !== bytes.length)
        throw new Error(`${path} changed while it was read`)
      return bytes
    }
    return read({ length: fstatSync(file).size, subarray: piece })
  } finally {
    closeSync(file)
  }
}

/** Between two pauses, tables of so many bytes are checked. */
const BYTES_AT_ONCE = 8 * 1024 * 1024

async function checkTables(dir: string, { manifest }: Position): Promise<void> {
  let bytesAtOnce = 0
  for (const { number, bytes } of manifest.tables) {
    const name = `${String(number).padStart(6, '0')}.ldb`
    const size = statSync(join(dir, name), { throwIfNoEntry: false })?.size
    if (size === undefined) throw new Damage(name, 'the file is missing')
    if (size !== bytes) throw new Damage(name, `it is ${size} bytes long instead of ${bytes}`)
    const fault = tableFault(join(dir, name), size)
    if (fault !== undefined) throw new Damage(name, fault)
    bytesAtOnce += bytes
    if (bytesAtOnce < BYTES_AT_ONCE) continue
    bytesAtOnce = 0
    await setImmediate()
  }
}

interface Wal {
  readonly name: string
  readonly number: number
}

const parseWalNames = (names: readonly string[]): Wal[] =>
  names
    .filter((name) => /^[0-9]+\.log$/.test(name))
    .map((name) => ({ name, number: Number.parseInt(name, 10) }))
    .sort((a, b) => a.number - b.number)

/** Reads the live WALs. */
function readWals(
  dir: string,
  names: readonly string[],
  manifestName: string,
  { oldestLog, prevLog }: Position,
): Wals {
  const wals = parseWalNames(names).filter(({ number }) => number >= oldestLog || number === prevLog)
  if (!wals.some(({ number }) => number === oldestLog))
    throw new Damage(
      `${String(oldestLog).padStart(6, '0')}.log`,
      `the file is missing, although ${manifestName} names it`,
    )
  return new Map(wals.map(({ name }) => [name, readFileSync(join(dir, name))]))
}

/** The sequence number at which the WALs end; undefined when they are empty. */
function walkLogs(
  wals: Wals,
  manifestName: string,
  { lastSequence }: Position,
  counted: FailedWrite | undefined,
  discardSuspectTail: boolean,
): number | undefined {
  /** The sequence number that the next record must have; undefined before the first record. */
  let next: number | undefined
  /** A WAL that ends in the middle of a record. All WALs after it must be empty. */
  let unfinished: string | undefined
  let empty: string | undefined
  for (const [name, file] of wals) {
    if (file.length === 0) {
      empty ??= name
      continue
    }
    if (empty !== undefined) throw new Damage(empty, `it is empty, although ${name} after it is not`)
    if (unfinished !== undefined)
      throw new Damage(unfinished, `it ends in the middle of a record, although ${name} continues after it`)
    const walked = walkLog(name, file, next, lastSequence, discardSuspectTail)
    next = walked.next
    if (walked.isUnfinished) unfinished = name
  }
  if (next === undefined) return undefined
  if (next - 1 < (counted?.from ?? lastSequence))
    throw new Damage(
      [...wals.keys()].at(-1) ?? manifestName,
      `acknowledged writes are missing: the WALs end at sequence number ${next - 1}, ${manifestName} stands at ${lastSequence} ` +
        `(or only one that failed for lack of room: LevelDB counts it all the same, and the files do not show it)`,
    )
  return next - 1
}

function walkLog(
  name: string,
  file: Uint8Array,
  expected: number | undefined,
  lastSequence: number,
  discardSuspectTail: boolean,
): { readonly next: number | undefined; readonly isUnfinished: boolean } {
  let next = expected
  const onRecord = (content: Uint8Array): string | undefined => {
    const { sequence, count } = walRecord(content)
    if (next === undefined ? sequence > lastSequence + 1 : sequence !== next)
      return `sequence number ${sequence} where ${next ?? lastSequence + 1} should be: records are missing`
    next = sequence + count
    return count > 0 ? undefined : 'a record without operations'
  }
  const couldFollow = (content: Uint8Array): boolean => {
    const { sequence } = walRecord(content)
    const from = next ?? lastSequence
    return sequence >= from && sequence < from + SEQUENCES_AHEAD_MAX
  }
  const end = readLogFile(file, onRecord, couldFollow)
  if (end.kind === 'corrupt') throw new Damage(name, `at byte ${end.at}: ${end.detail}`)
  if (end.kind === 'suspect' && !discardSuspectTail)
    throw new Damage(
      name,
      `at byte ${end.at}: the checksum of the last frame does not hold. If this machine lost power just before, the frame may be ` +
        `one that was being written: on a minority of the replicas of a cluster it may be dropped with --discard-suspect-tail`,
    )
  return { next, isUnfinished: end.kind !== 'clean' }
}

function walRecord(content: Uint8Array): { sequence: number; count: number } {
  if (content.length < WAL_RECORD_HEADER_BYTES) return { sequence: -1, count: 0 }
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength)
  return { sequence: Number(view.getBigUint64(0, true)), count: view.getUint32(8, true) }
}
