// A state machine on rows in memory. It does what a driver does with `applyEntry`, and nothing else.

import { expect } from 'vitest'
import { applyEntry } from '../../src/kv/apply.ts'
import { requestBytes, requestKind, writeRequest } from '../../src/kv/request.ts'
import { dataRange, decodeDataRow, readKey } from '../../src/kv/rows.ts'
import { LiveVersions } from '../../src/kv/live-versions.ts'
import { initialState } from '../../src/kv/state.ts'
import type {
  Applied,
  Command,
  Condition,
  Idempotency,
  KeyCommand,
  KeyRange,
  KeyRow,
  Request,
  Revision,
  RowChange,
  RowFound,
  RowHash,
  RowInRange,
  Rows,
  Settings,
} from '../../src/kv/types.ts'
import { asRevision, ROW_HEAD_BYTES, TABLE_DATA, TABLE_VERSIONS } from '../../src/kv/types.ts'
import { hashOfRow } from '../../src/storage/rows.ts'

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

export const rev = asRevision

export function bodyOf(request: Request): Uint8Array {
  const body = new Uint8Array(requestBytes(request))
  writeRequest(request, body, 0)
  return body
}

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

/** With the rows that were written, in order. */
export interface AppliedHere extends Applied {
  readonly changes: readonly RowChange[]
}

export class MemoryStore {
  readonly rows = new Map<string, Uint8Array>()
  state

  constructor(settings?: Partial<Settings>) {
    this.state = initialState(settings)
  }

  apply(request: Request, clusterTimeMs = 0): AppliedHere {
    const { kind, version } = requestKind(request)
    return this.applyBody(kind, version, bodyOf(request), clusterTimeMs)
  }

  applyBody(kind: number, version: number, body: Uint8Array, clusterTimeMs: number): AppliedHere {
    const changes: RowChange[] = []
    const before = new Map(this.rows)
    const rows: Rows = {
      read: (key, head) => found(key, this.rows.get(hex(key)), head),
      inRange: (range) => this.#inRange(range, before),
      write: (change) => {
        const { key, value, rest = new Uint8Array() } = change
        changes.push({ ...change, value: value && new Uint8Array(value) })
        if (change.before !== undefined)
          expect(known(change.before)).toEqual(hashOf(key, this.rows.get(hex(key))))
        if (value === undefined) this.rows.delete(hex(key))
        else this.rows.set(hex(key), new Uint8Array(Buffer.concat([value, rest])))
        return hashOf(key, this.rows.get(hex(key))) ?? NO_HASH
      },
    }
    const applied = applyEntry(kind, version, body, clusterTimeMs, this.state, rows)
    this.state = applied.state
    return { ...applied, changes }
  }

  /** All records as they were at a revision, or are now. */
  list(at: Revision | undefined, reverse = false): KeyRow[] {
    const names = [...this.rows.keys()].sort()
    const records = new LiveVersions(at, reverse)
    const listed: (KeyRow | undefined)[] = []
    for (const name of reverse ? names.reverse() : names) {
      const [key, row] = [Buffer.from(name, 'hex'), this.rows.get(name) ?? new Uint8Array()]
      if (key[0] === TABLE_VERSIONS) listed.push(records.take(key, row))
      if (key[0] !== TABLE_DATA) continue
      const { record, isInline } = decodeDataRow(key, row)
      if (isInline && (at === undefined || record.modRevision <= at)) listed.push(record)
    }
    listed.push(records.end())
    const order = reverse ? -1 : 1
    return listed.filter((record) => record !== undefined).sort((a, b) => order * Buffer.compare(a.key, b.key))
  }

  /** Rows of data in a range, as a driver reads them before an entry. */
  #inRange(range: KeyRange, rows: ReadonlyMap<string, Uint8Array>): RowInRange[] | undefined {
    const { gte, lt } = dataRange(range)
    const names = [...rows.keys()].filter((name) => name >= hex(gte) && name < hex(lt)).sort()
    if (names.length > this.state.settings.rangeKeysMax) return undefined
    return names.map((name) => ({ key: Buffer.from(name, 'hex'), bytes: rows.get(name) ?? new Uint8Array() }))
  }

  get(key: string): KeyRow | undefined {
    return readKey(utf8(key), (rowKey) => this.rows.get(hex(rowKey)))
  }
}

/** What apply is given: only the head of a row if heads are enough. */
export const found = (key: Uint8Array, row: Uint8Array | undefined, heads: boolean): RowFound | undefined =>
  row && {
    bytes: new Uint8Array(row.subarray(0, heads ? ROW_HEAD_BYTES : row.length)),
    length: row.length,
    ...(hashOf(key, row) ?? NO_HASH),
  }

/** As storage calculates it; null: there is no row. */
function hashOf(key: Uint8Array, row: Uint8Array | undefined): RowHash | null {
  if (row === undefined) return null
  const { mix, crc } = hashOfRow(key, row)
  return { mix, crc }
}

const known = (before: RowHash | null): RowHash | null => before && { mix: before.mix, crc: before.crc }
const NO_HASH: RowHash = { mix: 0, crc: 0 }

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
