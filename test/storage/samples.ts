// Sample data, and the callbacks of storage as promises.

import { crc32 } from 'node:zlib'
import type { RowChange } from '../../src/kv/types.ts'
import { newFrame, sealFrame, stampFrame } from '../../src/raft/entry.ts'
import { asIndex, asReplicaId, asTerm, type Entry, type HardState, type Write } from '../../src/raft/types.ts'
import type {
  AppliedRecord,
  Identity,
  InitialState,
  PageLimits,
  Range,
  RowScan,
  Storage,
  StoredRow,
} from '../../src/storage/index.ts'
import { FORMAT_VERSION, SCRUB_SLICE, Scrub } from '../../src/storage/index.ts'
import { hashOfKey } from '../../src/storage/key-hash.ts'
import { Row } from '../../src/storage/rows.ts'
import type { SnapshotSink, SnapshotSource, StorageBatch } from '../../src/storage/types.ts'

export const identity: Identity = {
  clusterId: '77',
  replicaId: asReplicaId('12345678901234567890'),
  name: 'n1',
  formatVersion: FORMAT_VERSION,
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
export const text = (value: Uint8Array | undefined): string | undefined =>
  value === undefined ? undefined : Buffer.from(value).toString()

/** The key of a row in the table of users' data. */
export const rowKey = (name: string): Uint8Array => bytes(`\u0001${name}`)

/** A row as the engine takes it. */
export function sealRow(
  prefix: Uint8Array,
  key: Uint8Array,
  value: Uint8Array,
  rest?: Uint8Array,
): { readonly engineKey: Uint8Array; readonly stored: Uint8Array } {
  const { engineKey, stored } = new Row(prefix, key, hashOfKey(key), value, rest)
  return { engineKey, stored: must(stored) }
}

/** Applies an entry with these changes of rows. */
export function applyRows(storage: Storage, list: readonly RowChange[], record: AppliedRecord): void {
  const bytes = list.reduce(
    (sum, { key, value, rest }) => sum + key.length + (value?.length ?? 0) + (rest?.length ?? 0),
    0,
  )
  storage.begin(record.index, { bytes, items: list.length })
  for (const change of list) storage.change(change)
  storage.end(record)
}

export function entry(index: number, term: number, body = `entry ${index} of term ${term}`): Entry {
  const content = bytes(body)
  const header = { kind: 16, version: 1, proposer: identity.replicaId, boot: 1, seq: index }
  const frame = newFrame(header, content.length)
  frame.set(content, frame.length - content.length)
  sealFrame(frame, (payload) => crc32(payload))
  stampFrame(frame, asTerm(term), asIndex(index), 0)
  return { index: asIndex(index), term: asTerm(term), frame }
}

/** Entries from `from` to `to`, both included. */
export const entries = (from: number, to: number, term: number): Entry[] =>
  Array.from({ length: to - from + 1 }, (_, at) => entry(from + at, term))

/** Entries in a form that is fast to compare, whatever class of bytes they use. */
export const frames = (list: readonly Entry[]): string[] =>
  list.map(({ index, term, frame }) => `${index} (term ${term}): ${frame.length} bytes, ${crc32(frame)}`)

export const hardState = (term: number, commit: number, vote?: string): HardState => ({
  term: asTerm(term),
  vote: vote === undefined ? undefined : asReplicaId(vote),
  commit: asIndex(commit),
})

export const applied = (index: number, term: number): AppliedRecord => ({
  index: asIndex(index),
  term: asTerm(term),
  raft: bytes(`raft at ${index}`),
  kv: bytes(`kv at ${index}`),
})

export const initial: InitialState = { hardState: hardState(1, 1), applied: applied(1, 1) }

let writes = 0

export function write(change: {
  truncateFrom?: number
  entries?: readonly Entry[]
  snapshot?: NonNullable<Write['snapshot']>
}): Write {
  writes++
  return {
    number: writes,
    hardState: hardState(1, 1),
    truncateFrom: change.truncateFrom === undefined ? undefined : asIndex(change.truncateFrom),
    entries: change.entries ?? [],
    snapshot: change.snapshot,
  }
}

export function batch(state: HardState, list: readonly Write[] = [], compactTo?: number): StorageBatch {
  return {
    hardState: state,
    writes: list,
    compactLogTo: compactTo === undefined ? undefined : asIndex(compactTo),
  }
}

export const changes = (rows: Readonly<Record<string, string | undefined>>): RowChange[] =>
  Object.entries(rows).map(([name, value]) => ({
    key: rowKey(name),
    value: value === undefined ? undefined : bytes(value),
  }))

// ---------------------------------------------------------------------------------------------------------------------

/** Rejects with a thrown error as well as with one that is passed to the callback. */
function called<T>(run: (done: (error: Error | undefined, result: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    run((error, result) => (error === undefined ? resolve(result) : reject(error)))
  })
}

export const store = (storage: Storage, content: StorageBatch): Promise<void> =>
  called<void>((done) => storage.write(content, (error) => done(error)))

export const closed = (storage: Storage): Promise<void> =>
  called<void>((done) => storage.close((error) => done(error)))

export interface Page {
  readonly rows: readonly string[]
  readonly more: boolean
}

/** A scan of all rows, or of `range`. */
export const scanOf = (storage: Storage, range: Partial<Range> = {}): RowScan =>
  storage.scan({ gte: rowKey(''), lt: Uint8Array.of(2), reverse: false, ...range })

/** The next page, with rows as `name=value`. */
export const page = (scan: RowScan, limits: Partial<PageLimits> = {}): Promise<Page> =>
  called<Page>((done) => {
    const next = { rowsMax: 1000, bytesMax: 1e6, ...limits }
    scan.next(next, (error, rows, more) => done(error, { rows: rows.map(rowText), more }))
  })

export const finishedScan = (scan: RowScan): Promise<void> =>
  called<void>((done) => scan.finish((error) => done(error)))

/** The first page of a scan, which is closed after it. */
export async function firstPage(storage: Storage, asked: Partial<Range & PageLimits> = {}): Promise<Page> {
  const scan = scanOf(storage, asked)
  try {
    const found = await page(scan, asked)
    await finishedScan(scan)
    return found
  } finally {
    scan.close()
  }
}

const rowText = ({ key, value }: StoredRow): string => `${text(key.subarray(1))}=${text(value)}`

/** All current rows of a storage. */
export async function allRows(storage: Storage): Promise<readonly string[]> {
  return (await firstPage(storage)).rows
}

/** Returns whether the pass has finished. */
export const slice = (pass: Scrub): Promise<boolean> => called<boolean>((done) => pass.step(done))

/** A whole pass; `between` is called between its slices. */
export async function scrub(
  storage: Storage,
  limits = SCRUB_SLICE,
  between: () => Promise<void> = async () => {},
): Promise<void> {
  const pass = new Scrub(storage, limits)
  try {
    while (!(await slice(pass))) await between()
  } finally {
    pass.close()
  }
}

export const chunkOf = (source: SnapshotSource, number: number): Promise<Uint8Array | undefined> =>
  called((done) => source.read(number, done))

export const sinkFor = (
  storage: Storage,
  source: SnapshotSource,
  id = source.id,
): Promise<SnapshotSink | undefined> =>
  called((done) => storage.snapshotSink(id, asReplicaId('9'), source.meta, done))

export const receive = (sink: SnapshotSink, number: number, chunk: Uint8Array): Promise<void> =>
  called<void>((done) => sink.write(number, chunk, (error) => done(error)))

export const finished = (sink: SnapshotSink): Promise<void> =>
  called<void>((done) => sink.finish((error) => done(error)))

/** Streams the rest of a snapshot into a sink. */
export async function stream(source: SnapshotSource, sink: SnapshotSink): Promise<number> {
  for (let number = sink.nextChunk; ; number++) {
    const chunk = await chunkOf(source, number)
    if (chunk === undefined) {
      await finished(sink)
      return number
    }
    await receive(sink, number, chunk)
  }
}

export function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('something is missing')
  return value
}
