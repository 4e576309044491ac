// A state machine on rows in memory. It calls `applyEntry` as a driver does.

import { applyEntry } from '../../src/kv/apply.ts'
import { encodeRequest, placesOfEntry, requestKind } from '../../src/kv/codec/request.ts'
import { decodeVersion, versionKey, versionsStart } from '../../src/kv/codec/rows.ts'
import { decodeState, encodeState, initialState } from '../../src/kv/codec/state.ts'
import { isReadable } from '../../src/kv/history.ts'
import { metadataOfVersion } from '../../src/kv/keys.ts'
import { LiveVersions } from '../../src/kv/live-versions.ts'
import { areTooManyKeys } from '../../src/kv/settings.ts'
import type {
  Apply,
  ApplyResult,
  Command,
  FoundRow,
  KeyCommand,
  KeysOrLease,
  KvState,
  RangeToRead,
  Request,
  RowChange,
  RowHash,
  Rows,
} from '../../src/kv/types.ts'
import { ROW_HEAD_BYTES, TABLE_KEY_METADATA, TABLE_VERSIONS } from '../../src/kv/types.ts'
import {
  asRevision,
  type Condition,
  compareKeys,
  type Idempotency,
  type KeyRow,
  type KvSettings,
  type Revision,
} from '../../src/operations/forms/index.ts'
import { commandDigest } from '../../src/server/node/write/command-digest.ts'
import { hashOfRow } from '../../src/storage/rows.ts'
import { expectEqual } from '../expect-equal.ts'

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

export const rev = asRevision

export const bodyOf = (request: Request): Uint8Array => encodeRequest(request, commandDigest).slice()

export const ask = (command: Command, idempotency?: Idempotency): Request => ({
  command,
  idempotency,
  principal: '',
})

type Put = Extract<KeyCommand, { kind: 'put' }>
type Delete = Extract<KeyCommand, { kind: 'delete' }>

export const putOf = (key: string, value: string, condition?: Partial<Condition>, prev = false): Put => ({
  kind: 'put',
  key: utf8(key),
  value: utf8(value),
  condition: whole(condition),
  prev,
})

export const deleteOf = (key: string, condition?: Partial<Condition>, prev = false): Delete => ({
  kind: 'delete',
  key: utf8(key),
  condition: whole(condition),
  prev,
})

export const batchOf = (...commands: readonly KeyCommand[]): Command => ({
  kind: 'batch',
  commands: commands.map((command) => ({ ...command, prev: false })),
})

const whole = (condition: Partial<Condition> | undefined): Condition | undefined =>
  condition && { ifMatch: condition.ifMatch, ifNoneMatch: condition.ifNoneMatch }

/** Rows by their keys in hexadecimal. */
class RowMap extends Map<string, Uint8Array> {
  /** The rows of versions, by the beginning that those of one key share: a search would look at all rows. */
  readonly #versions = new Map<string, Set<string>>()
  /** Made for the first list after a change. */
  #sorted: SortedVersions | undefined

  override set(name: string, row: Uint8Array): this {
    if (name.startsWith(VERSIONS)) {
      const start = name.slice(0, -2 * REVISION_BYTES)
      this.#versions.set(start, (this.#versions.get(start) ?? new Set()).add(name))
      this.#sorted = undefined
    }
    return super.set(name, row)
  }

  override delete(name: string): boolean {
    if (this.#versions.get(name.slice(0, -2 * REVISION_BYTES))?.delete(name)) this.#sorted = undefined
    return super.delete(name)
  }

  override clear(): void {
    this.#versions.clear()
    this.#sorted = undefined
    super.clear()
  }

  get sorted(): SortedVersions {
    if (this.#sorted === undefined) {
      const names = [...this.#versions.values()].flatMap((ofKey) => [...ofKey]).sort()
      const versions = names.map(
        (name) => [Buffer.from(name, 'hex'), this.get(name) ?? new Uint8Array()] as const,
      )
      this.#sorted = {
        versions,
        records: recordsOf(versions, new LiveVersions(undefined, false, decodeVersion)),
      }
    }
    return this.#sorted
  }

  versionsOf(key: Uint8Array): ReadonlySet<string> {
    return this.#versions.get(hex(versionsStart(key))) ?? new Set()
  }
}

/** The rows of versions in the order of their keys. */
type Versions = readonly (readonly [key: Uint8Array, row: Uint8Array])[]

interface SortedVersions {
  readonly versions: Versions
  /** The records of all keys as they are now. */
  readonly records: readonly KeyRow[]
}

const recordsOf = (versions: Versions, live: LiveVersions<KeyRow>): KeyRow[] =>
  [...versions.map(([key, row]) => live.take(key, row)), live.end()].filter((record) => record !== undefined)

/** A result with the rows that were written, in order. */
export interface AppliedHere extends ApplyResult {
  readonly changes: readonly RowChange[]
}

export class MemoryStore {
  readonly rows = new RowMap()
  state

  constructor(settings?: Partial<KvSettings>) {
    this.state = initialState(settings)
  }

  apply(request: Request, clusterTimeMs = 0, applied = applyEntry): AppliedHere {
    const { kind, version } = requestKind(request)
    return this.applyBody(kind, version, bodyOf(request), clusterTimeMs, applied)
  }

  /** `apply`: at once, or in steps. */
  applyBody(
    kind: number,
    version: number,
    body: Uint8Array,
    clusterTimeMs: number,
    apply: Apply = applyEntry,
  ): AppliedHere {
    this.#changes = []
    this.#places = () => placesOfEntry(kind, version, body)
    this.#heads.clear()
    this.#before = undefined
    this.#past.clear()
    const applied = apply(kind, version, body, clusterTimeMs, this.state, this.#forApply)
    this.state = applied.state
    // A head that storage remembers must equal the head of the newest row.
    for (const [name, head] of this.#heads)
      expectEqual(head, this.#headOf(Buffer.from(name, 'hex').subarray(1)))
    return { ...applied, changes: this.#changes }
  }

  /** Replaces rows and registers, as the installation of a snapshot does. */
  becomes({
    rows,
    state,
  }: {
    readonly rows: ReadonlyMap<string, Uint8Array>
    readonly state: KvState
  }): void {
    this.rows.clear()
    for (const [name, row] of rows) this.rows.set(name, row)
    this.state = decodeState(encodeState(state))
  }

  /** The keys and ranges that the entry names. */
  #places: () => readonly KeysOrLease[] = () => []
  /** The changes of the entry that is being applied. */
  #changes: RowChange[] = []
  readonly #heads = new Map<string, Uint8Array | undefined>()
  /** The rows before the entry: ranges and leases are read before anything is written. */
  #before: KeyRow[] | undefined
  readonly #past = new Map<Revision, readonly KeyRow[]>()

  /** The head that apply has read last. */
  #lent: Writable<FoundRow> | undefined

  readonly #forApply: Rows = {
    read: (key, head) => {
      this.#spoil()
      const row =
        key[0] === TABLE_KEY_METADATA ? this.#rowOfHead(key) : found(key, this.rows.get(hex(key)), head)
      if (head) this.#lent = row
      return row
    },
    inRange: (range) => {
      const ranges = this.#places().filter((place) => 'start' in place)
      expectEqual(
        ranges.some((named) => isSame(named, range)),
        true,
      )
      const all = ranges.flatMap((named) => inRange(named, this.#keysAt(named)))
      const bytes = all.reduce((sum, key) => sum + key.length, 0)
      // The settings limit all ranges of the entry together.
      return areTooManyKeys(all.length, bytes, this.state.settings)
        ? undefined
        : inRange(range, this.#keysAt(range))
    },
    versionsIn: (range) => {
      if (this.#forApply.inRange(range) === undefined) return undefined
      return inRange(range, this.#keysAt(range))
        .map((key) => this.#recordsAt(range).find((record) => compareKeys(record.key, key) === 0))
        .filter((record) => record !== undefined)
        .map(({ key, modRevision }) => versionKey(key, modRevision))
    },
    attached: (lease) => {
      this.#before ??= this.list(undefined)
      return this.#before.filter((record) => record.lease === lease).map(({ key }) => key)
    },
    write: (change) => {
      this.#spoil()
      const { key, value, rest = new Uint8Array() } = change
      const name = hex(key)
      if (key[0] === TABLE_KEY_METADATA) {
        this.#heads.set(name, value && new Uint8Array(value))
        return NO_HASH
      }
      const before = change.before === undefined ? undefined : known(change.before)
      this.#changes.push({
        key,
        value: value && new Uint8Array(value),
        rest: new Uint8Array(rest),
        ...(before !== undefined && { before }),
      })
      if (before !== undefined) expectEqual(before, hashOf(key, this.rows.get(name)))
      if (value === undefined) this.rows.delete(name)
      else this.rows.set(name, new Uint8Array(Buffer.concat([value, rest])))
      return hashOf(key, this.rows.get(name)) ?? NO_HASH
    },
  }

  #recordsAt({ revision }: RangeToRead): readonly KeyRow[] {
    this.#before ??= this.list(undefined)
    if (revision === undefined) return this.#before
    if (!isReadable(revision, this.state)) return []
    const known = this.#past.get(revision) ?? this.list(revision)
    this.#past.set(revision, known)
    return known
  }

  #keysAt(range: RangeToRead): readonly Uint8Array[] {
    return this.#recordsAt(range).map(({ key }) => key)
  }

  /** Overwrites the last head, as storage does when it reuses its memory. */
  #spoil(): void {
    if (this.#lent === undefined) return
    this.#lent.bytes = new Uint8Array(ROW_HEAD_BYTES).fill(0xff)
    this.#lent.length = 0xffff
    this.#lent = undefined
  }

  #rowOfHead(key: Uint8Array): FoundRow | undefined {
    const name = hex(key)
    const bytes = this.#heads.has(name) ? this.#heads.get(name) : this.#headOf(key.subarray(1))
    return bytes && { bytes, length: bytes.length, ...NO_HASH }
  }

  /** The head of the newest row of versions. */
  #headOf(key: Uint8Array): Uint8Array | undefined {
    const [newest] = [...this.rows.versionsOf(key)].sort()
    if (newest === undefined) return undefined
    const [rowKey, row] = [Buffer.from(newest, 'hex'), this.rows.get(newest) ?? new Uint8Array()]
    const head = metadataOfVersion(rowKey, row, hashOfRow(rowKey, row))
    return head && new Uint8Array(head)
  }

  /** All records as they were at a revision, or are now. */
  list(at: Revision | undefined, reverse = false): KeyRow[] {
    const { records, versions } = this.rows.sorted
    if (at === undefined) return reverse ? records.toReversed() : [...records]
    return recordsOf(reverse ? versions.toReversed() : versions, new LiveVersions(at, reverse, decodeVersion))
  }

  get(key: string): KeyRow | undefined {
    const found = this.list(undefined).find((record) => compareKeys(record.key, utf8(key)) === 0)
    return found && { ...found, key: new Uint8Array(found.key) }
  }
}

const inRange = ({ start, end, keysMax }: RangeToRead, keys: readonly Uint8Array[]): readonly Uint8Array[] =>
  keys
    .filter((key) => compareKeys(key, start) >= 0 && (end === undefined || compareKeys(key, end) < 0))
    .slice(0, keysMax)

const isSame = (a: RangeToRead, b: RangeToRead): boolean =>
  a.keysMax === b.keysMax &&
  a.revision === b.revision &&
  compareKeys(a.start, b.start) === 0 &&
  (a.end === undefined || b.end === undefined ? a.end === b.end : compareKeys(a.end, b.end) === 0)

/** The end of the key of a version. */
const REVISION_BYTES = 8

type Writable<T> = { -readonly [name in keyof T]: T[name] }

/** The row as storage passes it to apply: only the head if heads are enough. */
export const found = (key: Uint8Array, row: Uint8Array | undefined, heads: boolean): FoundRow | undefined =>
  row && {
    bytes: new Uint8Array(row.subarray(0, heads ? ROW_HEAD_BYTES : row.length)),
    length: row.length,
    ...(hashOf(key, row) ?? NO_HASH),
  }

/** The hash as storage calculates it; null if there is no row. */
function hashOf(key: Uint8Array, row: Uint8Array | undefined): RowHash | null {
  if (row === undefined) return null
  const { mix, crc } = hashOfRow(key, row)
  return { mix, crc }
}

const known = (before: RowHash | null): RowHash | null => before && { mix: before.mix, crc: before.crc }
const NO_HASH: RowHash = { mix: 0, crc: 0 }

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** The beginning of the names of rows of versions. */
const VERSIONS = hex(Uint8Array.of(TABLE_VERSIONS))
