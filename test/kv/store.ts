// A state machine on rows in memory. It does what a driver does with `applyEntry`, and nothing else.

import { applyEntry } from '../../src/kv/apply.ts'
import { requestBytes, requestKind, writeRequest } from '../../src/kv/request.ts'
import { dataKey, decodeKeyRow } from '../../src/kv/rows.ts'
import { initialState } from '../../src/kv/state.ts'
import type {
  Applied,
  Command,
  Condition,
  Idempotency,
  KeyCommand,
  KeyRow,
  Request,
  RowChange,
  RowFound,
  Rows,
  Settings,
} from '../../src/kv/types.ts'
import { asRevision, ROW_HEAD_BYTES } from '../../src/kv/types.ts'

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
    const rows: Rows = {
      read: (key, head) => found(this.rows.get(hex(key)), head),
      write: (change) => {
        const { key, value, rest = new Uint8Array() } = change
        changes.push({ ...change, value: value && new Uint8Array(value) })
        if (value === undefined) this.rows.delete(hex(key))
        else this.rows.set(hex(key), new Uint8Array(Buffer.concat([value, rest])))
      },
    }
    const applied = applyEntry(kind, version, body, clusterTimeMs, this.state, rows)
    this.state = applied.state
    return { ...applied, changes }
  }

  get(key: string): KeyRow | undefined {
    const row = this.rows.get(hex(dataKey(utf8(key))))
    return row && decodeKeyRow(utf8(key), row)
  }
}

/** What apply is given: only the head of a row if heads are enough. */
export const found = (row: Uint8Array | undefined, heads: boolean): RowFound | undefined =>
  row && { bytes: new Uint8Array(row.subarray(0, heads ? ROW_HEAD_BYTES : row.length)), length: row.length }

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
