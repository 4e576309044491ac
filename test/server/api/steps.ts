// The vocabulary of the conformance table: operations as every wire has them, and what a client learns from each. Keys
// and values are bytes, written as latin1.

import type { KvSettings } from '../../../src/operations/forms/index.ts'
import type { FakeNode } from '../http/fake-node.ts'
import type { Serving } from '../http/served.ts'

export interface Freshness {
  readonly consistency?: 'linearizable' | 'lease' | 'stale'
  readonly maxStalenessMs?: number
  readonly minRevision?: number
  readonly revision?: number
}

/** The name of a change, under which it is made once. */
export interface Identity {
  readonly token?: string
  readonly since?: number
  readonly slot?: readonly [session: number, slot: number, seq: number]
}

export interface KeyChange extends Identity {
  readonly key: string
  readonly ifMatch?: '*' | readonly number[]
  readonly ifNoneMatch?: '*' | readonly number[]
}

export interface PutStep extends KeyChange {
  readonly op: 'put'
  readonly value: string
  readonly prev?: boolean
  readonly lease?: string
  readonly ttlMs?: number
}

export interface DeleteStep extends KeyChange {
  readonly op: 'delete'
}

export interface RangeStep extends Freshness {
  readonly op: 'range'
  readonly prefix?: string
  readonly start?: string
  readonly end?: string
  readonly after?: string
  readonly limit?: number
  readonly order?: 'asc' | 'desc'
  readonly keysOnly?: boolean
  readonly count?: boolean
  readonly countOnly?: boolean
}

export interface RangeBounds {
  readonly prefix?: string
  readonly start?: string
  readonly end?: string
  readonly all?: boolean
}

export type Step =
  | PutStep
  | DeleteStep
  | (Freshness & { readonly op: 'get'; readonly key: string })
  | RangeStep
  | (Identity & { readonly op: 'batch'; readonly changes: readonly (PutStep | DeleteStep)[] })
  | (Identity & RangeBounds & { readonly op: 'delete-range' })
  /** Fields as in docs/reference/http.md; bytes that are not UTF-8 are buffers. */
  | (Identity & Freshness & { readonly op: 'txn'; readonly txn: object })
  | (Identity & { readonly op: 'compact'; readonly revision: number })
  | { readonly op: 'keep-alive'; readonly ids: readonly string[] }
  | { readonly op: 'open-session' }

/** A record: key, value, create_revision, mod_revision, version. */
export type ExpectedRecord = readonly [
  key: string,
  value: string | null,
  create: number,
  mod: number,
  version: number,
]

export interface Expected {
  readonly code?: string
  /** A part of the sentence of an error. */
  readonly detail?: string
  readonly written?: 'no' | 'unknown'
  readonly revision?: number
  readonly replayed?: boolean
  /** create_revision, mod_revision, version. */
  readonly put?: readonly [number, number, number]
  readonly prev?: ExpectedRecord | null
  readonly deleted?: number
  readonly record?: ExpectedRecord | null
  readonly records?: readonly ExpectedRecord[]
  readonly more?: boolean
  readonly count?: number | null
  readonly served?: string
  readonly stalenessMs?: number
  readonly results?: readonly unknown[]
  readonly succeeded?: boolean
  readonly compactRevision?: number
  readonly current?: unknown
  readonly ttlsMs?: readonly (number | null)[]
  readonly session?: number
  /** Number of calls of the node: 0 if nothing was proposed or read. */
  readonly calls?: number
  /** Results that clients of etcd learn instead. */
  readonly etcd?: { readonly [F in keyof Expected]?: Expected[F] | undefined }
}

/** Acts on the node between two steps, or looks at it. */
export type Lever = (node: FakeNode) => void

export type Row = readonly [Step, Expected] | readonly [Lever, undefined?]

export interface Case {
  readonly title: string
  readonly rows: readonly Row[]
  readonly settings: Partial<KvSettings>
  readonly limits: NonNullable<Serving['limits']>
}

/** A story on an empty store: its steps run in order. */
export const story = (
  title: string,
  rows: readonly Row[],
  { settings = {}, limits = {} }: Partial<Pick<Case, 'settings' | 'limits'>> = {},
): Case => ({ title, rows, settings, limits })

// ---------------------------------------------------------------------------------------------------------------------
// Steps

export const put = (key: string, value: string, more: Partial<PutStep> = {}): PutStep => ({
  ...{ op: 'put', key, value },
  ...more,
})
export const del = (key: string, more: Partial<DeleteStep> = {}): DeleteStep => ({
  ...{ op: 'delete', key },
  ...more,
})
export const get = (key: string, more: Freshness = {}): Step => ({ op: 'get', key, ...more })
export const range = (more: Partial<RangeStep> = {}): Step => ({ op: 'range', ...more })
export const batch = (changes: readonly (PutStep | DeleteStep)[], more: Identity = {}): Step => ({
  ...{ op: 'batch', changes },
  ...more,
})
export const deleteRange = (bounds: RangeBounds, more: Identity = {}): Step => ({
  ...{ op: 'delete-range', ...bounds },
  ...more,
})
export const txn = (body: object, more: Identity & Freshness = {}): Step => ({
  op: 'txn',
  txn: body,
  ...more,
})
export const compact = (revision: number, more: Identity = {}): Step => ({ op: 'compact', revision, ...more })
export const keepAlive = (...ids: string[]): Step => ({ op: 'keep-alive', ids })
export const OPEN_SESSION: Step = { op: 'open-session' }

/** Puts these keys, one after the other: `key=value`, from revision 2 on. */
export const filled = (...pairs: readonly string[]): Row => [
  (node) => {
    for (const pair of pairs) {
      const [key = '', value = ''] = pair.split('=')
      node.put(Buffer.from(key, 'latin1'), value)
    }
  },
]

/** Puts `count` keys k0000, k0001 and so on. */
export const keys = (count: number, value = ''): Row => [
  (node) => {
    for (let at = 0; at < count; at++) node.put(`k${String(at).padStart(4, '0')}`, value)
  },
]

export const list = <T>(count: number, of: (at: number) => T): T[] =>
  Array.from({ length: count }, (_, at) => of(at))

// ---------------------------------------------------------------------------------------------------------------------
// Results

export const meta = (create: number, mod: number, version: number) => ({
  ...{ create_revision: create, mod_revision: mod, version },
})

export const current = (key: string, ...revisions: Parameters<typeof meta>) => ({
  key,
  ...meta(...revisions),
})

/** The change was not made, by the judgement of the cluster. */
export const refused = (code: string, more: Expected = {}): Expected => ({ code, written: 'no', ...more })

/** The request is wrong, whatever the store has: the node is not called. */
export const invalid = (code: string, detail?: string): Expected => ({
  ...{ code, written: 'no', calls: 0 },
  ...(detail === undefined ? {} : { detail }),
})

/** Bytes of JSON and of MessagePack as latin1. */
export function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1')
  if (typeof value === 'string') return Buffer.from(value).toString('latin1')
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  if ('base64' in value) return Buffer.from(String(value.base64), 'base64').toString('latin1')
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each)]))
}
