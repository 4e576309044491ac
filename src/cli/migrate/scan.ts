// Reads a range in the order of its keys, and pairs the keys of both sides.

import type { Client, KvRecord } from '../../client/index.ts'
import { compareKeys, type KeyRange, keyAfter } from '../../operations/forms/index.ts'
import { isPositionKey } from './position.ts'

/** The first page is small: its values may be large. */
const FIRST_PAGE_RECORDS = 64
const PAGE_RECORDS_MAX = 1_000
/** About as many bytes of keys and values as each later page has. */
const PAGE_BYTES = 2 * 1024 * 1024

export interface ScanOptions {
  /** Undefined: each page is of the newest revision. */
  readonly revision?: number | undefined
  readonly keysOnly?: boolean
  readonly signal: AbortSignal
}

interface Page {
  readonly records: readonly KvRecord[]
  /** Keys and values. */
  readonly bytes: number
}

async function readPage(client: Client, options: Parameters<Client['list']>[0]): Promise<Page> {
  const records: KvRecord[] = []
  let bytes = 0
  for await (const record of client.list(options)) {
    records.push(record)
    bytes += record.keyBytes.length + record.value.length
  }
  return { records, bytes }
}

/** All records of a range, without the positions of migrations. Reads one page ahead. */
export async function* scan(
  client: Client,
  { start, end }: KeyRange,
  options: ScanOptions,
): AsyncGenerator<KvRecord, void, undefined> {
  const read = (from: Uint8Array, limit: number): Promise<Page> => {
    const page = readPage(client, { ...options, ...(from.length === 0 ? {} : { start: from }), end, limit })
    // It is reported when the page is needed.
    page.catch(() => {})
    return page
  }
  let limit = FIRST_PAGE_RECORDS
  let next: Promise<Page> | undefined = read(start, limit)
  while (next !== undefined) {
    const { records, bytes }: Page = await next
    const last: KvRecord | undefined = records.length < limit ? undefined : records.at(-1)
    limit = Math.ceil(Math.min(PAGE_RECORDS_MAX, PAGE_BYTES / (bytes / records.length)))
    next = last && read(keyAfter(last.keyBytes), limit)
    for (const record of records) if (!isPositionKey(record.keyBytes)) yield record
  }
}

/** The records of a key on both sides; undefined: there is none. */
export interface RecordPair {
  readonly key: Uint8Array
  readonly ours: KvRecord | undefined
  readonly copy: KvRecord | undefined
}

/** Pairs the records of two scans by their keys. `ours`: those of the source. */
export async function* pairRecords(
  ours: AsyncIterator<KvRecord>,
  copies: AsyncIterator<KvRecord>,
): AsyncGenerator<RecordPair, void, undefined> {
  const next = async (from: AsyncIterator<KvRecord>): Promise<KvRecord | undefined> => {
    const { done, value } = await from.next()
    return done === true ? undefined : value
  }
  let [our, copy] = await Promise.all([next(ours), next(copies)])
  while (our !== undefined || copy !== undefined) {
    const order = our === undefined ? 1 : copy === undefined ? -1 : compareKeys(our.keyBytes, copy.keyBytes)
    const pair = { ours: order <= 0 ? our : undefined, copy: order >= 0 ? copy : undefined }
    yield { key: (pair.ours ?? pair.copy)?.keyBytes ?? new Uint8Array(), ...pair }
    if (order <= 0) our = await next(ours)
    if (order >= 0) copy = await next(copies)
  }
}

/** The difference between the records; undefined: they are the same to a migration. */
export function findDifference({ ours, copy }: RecordPair): Difference | undefined {
  if (copy === undefined) return 'missing'
  if (ours === undefined) return 'extra'
  if (Buffer.compare(ours.value, copy.value) !== 0) return 'value'
  return ours.lease === copy.lease ? undefined : 'lease'
}

/** How a key of the target differs from that of the source. */
export type Difference = 'missing' | 'extra' | 'value' | 'lease'
