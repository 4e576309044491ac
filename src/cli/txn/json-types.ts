// A transaction and its answer in the JSON of `POST /v1/txn`.

/** A string if the bytes are valid UTF-8. */
export type BytesJson = string | { readonly base64: string }

/** Keys that begin with a prefix, or from `start` (inclusive) to `end` (exclusive). */
export type RangeJson =
  | { readonly prefix: BytesJson }
  | { readonly start: BytesJson; readonly end?: BytesJson }
  | { readonly end: BytesJson }

/** One key, or all that exist in a range. */
export type PlaceJson = { readonly key: BytesJson } | RangeJson

export const OPERATORS = ['=', '!=', '<', '>'] as const
export type Operator = (typeof OPERATORS)[number]

export const TARGETS = ['value', 'version', 'create_revision', 'mod_revision', 'lease'] as const
export type Target = (typeof TARGETS)[number]

/** `to`: bytes for a value, decimal digits for a lease ("0": none), a whole number for the others. */
export type OperandJson =
  | { readonly target: 'value'; readonly to: BytesJson }
  | { readonly target: 'lease'; readonly to: string }
  | { readonly target: 'version' | 'create_revision' | 'mod_revision'; readonly to: number }

export type ComparisonJson =
  | (PlaceJson & OperandJson & { readonly op: Operator })
  | { readonly key: BytesJson; readonly exists: boolean }

export interface PutJson {
  readonly key: BytesJson
  readonly value: BytesJson
  readonly lease?: string
  readonly ttl?: string
  readonly prev?: true
}

export type GetJson = PlaceJson & {
  readonly limit?: number
  readonly keys_only?: true
  readonly count_only?: true
}

export type DeleteJson = PlaceJson & { readonly prev?: true }

export type OperationJson =
  | { readonly put: PutJson }
  | { readonly get: GetJson }
  | { readonly delete: DeleteJson }
  | { readonly txn: TxnJson }

export const OPERATIONS = ['put', 'get', 'delete', 'txn'] as const

export interface TxnJson {
  readonly compare: readonly ComparisonJson[]
  readonly success: readonly OperationJson[]
  readonly failure: readonly OperationJson[]
}

export interface RecordJson {
  readonly key: BytesJson
  /** Absent if only keys were asked for. */
  readonly value?: BytesJson
  readonly create_revision: number
  readonly mod_revision: number
  readonly version: number
  readonly lease?: string
}

export interface PutResultJson {
  readonly create_revision: number
  readonly mod_revision: number
  readonly version: number
  readonly prev?: RecordJson | null
}

/** Records are not kept for a request that is repeated. */
export type GetResultJson =
  | { readonly kvs: readonly RecordJson[]; readonly more: boolean; readonly count: number }
  | { readonly omitted: true }

export interface DeleteResultJson {
  readonly deleted: number
  readonly prev?: readonly RecordJson[]
}

export type ResultJson =
  | { readonly put: PutResultJson }
  | { readonly get: GetResultJson }
  | { readonly delete: DeleteResultJson }
  | { readonly txn: TxnResultJson }

export interface TxnResultJson {
  readonly succeeded: boolean
  readonly results: readonly ResultJson[]
}

export type TxnAnswerJson = TxnResultJson & { readonly revision: number }

/** A duration of the HTTP API. */
export const DURATION = /^[0-9]{1,12}(\.[0-9]{1,6})?(ms|s|m|h)$/

const LEASE_MAX = 2n ** 64n - 1n

/** A lease id without leading zeros; undefined: the text is none. "0" is no lease. */
export function leaseIdOf(text: string): string | undefined {
  if (!/^[0-9]{1,40}$/.test(text)) return undefined
  const id = BigInt(text)
  return id > LEASE_MAX ? undefined : String(id)
}

/** Transactions within one another, or lists and objects of JSON: enough for all that a node accepts. */
export const NESTING_MAX = 64
