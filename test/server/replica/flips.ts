// A stopped replica of some hundred rows whose disk has changed a bit of a table, and what each tool makes of it.

import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { BUMP_MIN } from '../../../src/backup/bump.ts'
import { checkRestored, type RestoreResult, restoreFile } from '../../../src/backup/restore.ts'
import { asRevision } from '../../../src/operations/forms/index.ts'
import { KeyIndex, keyIndexLimits } from '../../../src/server/node/key-index/key-index.ts'
import { getRecord } from '../../../src/server/node/read/record-scan.ts'
import { checkReplica } from '../../../src/server/replica/check-replica.ts'
import { inspectReplica, recoverReplica } from '../../../src/server/replica/stopped-replica.ts'
import { openStorage } from '../../../src/storage/directory.ts'
import { StorageRefusedError } from '../../../src/storage/index.ts'
import { crc32c, maskCrc } from '../../../src/storage/level/crc32c.ts'
import { VarintReader } from '../../../src/storage/level/varint.ts'
import {
  backupOf,
  fileWith,
  newNode,
  nodeWithEverything,
  recordsOf,
  storedRows,
  temporaryDirectory,
} from '../../backup/samples.ts'
import { filesOf, sameFiles } from '../../storage/files.ts'
import { closed } from '../../storage/samples.ts'

export const FOOTER_BYTES = 48

interface Block {
  readonly at: number
  readonly size: number
}

/** An entry of a data block. */
export interface TableEntry {
  readonly block: Block
  /** The byte with the type: 0 for a deletion, 1 for a value. */
  readonly typeAt: number
}

/** The entries of a table, in the order of their keys. */
export function entriesOf(table: Buffer): TableEntry[] {
  const footer = new VarintReader(table.subarray(-FOOTER_BYTES))
  footer.varint()
  footer.varint()
  const index = { at: footer.varint(), size: footer.varint() }
  const entries: TableEntry[] = []
  walk(table, index, (_keyEnd, valueAt) => {
    const handle = new VarintReader(table.subarray(valueAt))
    const block = { at: handle.varint(), size: handle.varint() }
    walk(table, block, (keyEnd) => void entries.push({ block, typeAt: keyEnd - 8 }))
  })
  return entries
}

function walk(table: Buffer, { at, size }: Block, take: (keyEnd: number, valueAt: number) => void): void {
  const restarts = table.readUInt32LE(at + size - 4)
  const end = at + size - 4 - 4 * restarts
  for (let from = at; from < end; ) {
    const head = table.subarray(from, end)
    const reader = new VarintReader(head)
    const [, own, value] = [reader.varint(), reader.varint(), reader.varint()]
    const headBytes = lengthOfVarints(head, 3)
    const keyEnd = from + headBytes + own
    take(keyEnd, keyEnd)
    from = keyEnd + value
  }
}

function lengthOfVarints(bytes: Buffer, count: number): number {
  let at = 0
  for (let left = count; left > 0; at++) if ((bytes[at] ?? 0) < 0x80) left--
  return at
}

export interface SampleReplica {
  readonly dir: string
  /** The name and the content of its largest table. */
  readonly table: string
  readonly content: Buffer
  readonly made: RestoreResult
  readonly right: RightAnswers
}

interface RightAnswers {
  readonly rows: string
  readonly now: string
  readonly before: string
  readonly summary: string
}

const bump = BUMP_MIN

export async function sampleReplica(keys: number): Promise<SampleReplica> {
  const dir = join(temporaryDirectory(), 'd')
  const made = await restoreFile(fileWith(await backupOf(await nodeWithEverything(keys))), newNode(dir), {
    bump,
  })
  // A start writes what is in the WAL to a table.
  await closed(await openStorage(dir))
  await closed(await openStorage(dir))
  const tables = readdirSync(dir).filter((name) => name.endsWith('.ldb'))
  const [table = ''] = tables.sort((a, b) => statSync(join(dir, b)).size - statSync(join(dir, a)).size)
  const content = readFileSync(join(dir, table))
  const right = { ...(await answersOf(dir)), summary: await summaryOf(dir) }
  return { dir, table, content, made, right }
}

/** The answers to readers of a replica that has started. */
async function answersOf(dir: string): Promise<Omit<RightAnswers, 'summary'>> {
  const storage = await openStorage(dir, { index: KeyIndex.of(keyIndexLimits) })
  try {
    const rows = await storedRows(storage)
    const records = await recordsOf(storage)
    const before = await recordsOf(storage, asRevision(40))
    for (const record of records) if (!(await isFound(storage, record))) throw new Error('a key is not found')
    return {
      rows: JSON.stringify(rows.map(({ key, value }) => [hex(key), hex(value)])),
      now: JSON.stringify(records),
      before: JSON.stringify(before),
    }
  } finally {
    await closed(storage)
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

function isFound(storage: Parameters<typeof getRecord>[0], record: object): Promise<boolean> {
  const key = 'key' in record ? Buffer.from(String(record.key), 'hex') : Buffer.alloc(0)
  return new Promise((resolve, reject) => {
    getRecord(storage, key, (error, found) =>
      error === undefined ? resolve(found !== undefined) : reject(error),
    )
  })
}

async function summaryOf(dir: string): Promise<string> {
  const { revision, keys, appliedIndex, lastIndex } = await inspectReplica(dir)
  return JSON.stringify({ revision, keys, appliedIndex, lastIndex })
}

export type Outcome = 'right' | 'refused' | `WRONG: ${string}`

type Tool = (dir: string, sample: SampleReplica) => Promise<boolean>

const TOOLS: Readonly<Record<string, Tool>> = {
  'start, and reads': async (dir, { right }) => {
    const { rows, now, before } = await answersOf(dir)
    return rows === right.rows && now === right.now && before === right.before
  },
  inspect: async (dir, { right }) => (await summaryOf(dir)) === right.summary,
  'inspect --check': async (dir) => {
    const { checks } = await checkReplica(dir, 'quorate')
    const problem = checks.find(
      ({ check, result }) => result === 'problem' && (check === 'files' || check === 'rows'),
    )
    if (problem !== undefined) throw new StorageRefusedError(problem.detail)
    return true
  },
  recover: async (dir, { right }) => {
    await recoverReplica(dir, { bump })
    return (await answersOf(dir)).now === right.now
  },
  'verify --restore': async (dir, { made }) => {
    await checkRestored(dir, made)
    return true
  },
}

/**
 * Flips a bit of the table. `isCompacted`: with a checksum that holds, as LevelDB would write a block that it has read
 * with that bit.
 */
export function flipped(content: Buffer, bit: number, compactedBlock?: Block): Buffer {
  const copy = Buffer.from(content)
  copy.writeUInt8(copy.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
  if (compactedBlock === undefined) return copy
  const end = compactedBlock.at + compactedBlock.size + 1
  copy.writeUInt32LE(maskCrc(crc32c(copy, compactedBlock.at, end)), end)
  return copy
}

export const TOOL_NAMES = Object.keys(TOOLS)

/** The outcome of each of these tools for the replica with this table. */
export async function outcomesOf(
  sample: SampleReplica,
  table: Buffer,
  names = TOOL_NAMES,
): Promise<Record<string, Outcome>> {
  const outcomes: Record<string, Outcome> = {}
  for (const [name, tool] of Object.entries(TOOLS))
    if (names.includes(name)) outcomes[name] = await outcomeOf(sample, table, tool)
  return outcomes
}

async function outcomeOf(sample: SampleReplica, table: Buffer, tool: Tool): Promise<Outcome> {
  // LevelDB keeps the lock of a directory that it could not close.
  const parent = temporaryDirectory()
  const dir = join(parent, 'd')
  cpSync(sample.dir, dir, { recursive: true })
  writeFileSync(join(dir, sample.table), table)
  const before = filesOf(dir)
  try {
    return (await tool(dir, sample)) ? 'right' : 'WRONG: another answer'
  } catch (error) {
    if (!(error instanceof StorageRefusedError)) return `WRONG: ${error}`
    if (!error.message.includes(dir)) return `WRONG: the directory is not named: ${error.message}`
    if (!error.message.includes('--join URL --replace')) return `WRONG: no way out: ${error.message}`
    const isOfFile = error.message.includes(`${sample.table} is damaged`)
    return isOfFile && !sameFiles(before, filesOf(dir)) ? 'WRONG: the files were changed' : 'refused'
  } finally {
    rmSync(parent, { recursive: true, force: true })
  }
}
