// The fields of a transaction under the names of docs/reference/http.md, which all wires share. A wire decodes them in
// its own form of bytes; this file checks which fields may stand together, and makes the transaction.

import { checkKeepsNothing, isLeaseId, LEASE_ID_FORM, leaseNames, parsePutLease } from './leases.ts'
import { checkedBound, checkedKey, checkedValue, keyRange, type Where } from './places.ts'
import { ApiError, unsayable } from './problems.ts'
import type { LeaseId } from './store.ts'
import type { KvComparison, KvTxn, KvTxnOperation } from './transactions.ts'

export const TARGETS = ['value', 'version', 'create_revision', 'mod_revision', 'lease'] as const
export const OPERATORS = ['=', '!=', '<', '>'] as const

/** Stands in a comparison in place of the id of a lease, for a key that has none. */
export const NO_LEASE_ID = '0'

/** A key, or a range of keys. `B` is the wire's form of bytes; a string means its UTF-8. */
export interface WhereFields<B> {
  readonly key?: B | string | undefined
  readonly prefix?: B | string | undefined
  readonly start?: B | string | undefined
  readonly end?: B | string | undefined
}

export interface ComparisonFields<B> extends WhereFields<B> {
  readonly target?: string
  readonly op?: string
  readonly to?: B | string | number
  readonly exists?: boolean
}

export interface PutFields<B> {
  readonly key: B | string
  readonly value: B | string
  readonly lease?: string
  readonly ttl?: string
  readonly prev?: boolean
}

/** Exactly one of its fields is present. */
export interface OperationFields<B> {
  readonly put?: PutFields<B>
  readonly get?: WhereFields<B> & {
    readonly limit?: number
    readonly keys_only?: boolean
    readonly count?: boolean
    readonly count_only?: boolean
  }
  readonly delete?: WhereFields<B> & { readonly prev?: boolean }
  readonly txn?: TxnFields<B>
}

export interface TxnFields<B> {
  readonly compare?: readonly ComparisonFields<B>[]
  readonly success?: readonly OperationFields<B>[]
  readonly failure?: readonly OperationFields<B>[]
}

/** The transaction with these fields. Throws `ApiError`, which names the field. */
export const decodeTxnDocument = <B>(fields: TxnFields<B>, bytesOf: BytesOf<B>): KvTxn =>
  new Reader(bytesOf).txn(fields, '')

type BytesOf<B> = (fields: B | string, name: string) => Uint8Array

/** `name` and `path` are those of the fields, for messages. */
class Reader<B> {
  readonly #bytesOf: BytesOf<B>

  constructor(bytesOf: BytesOf<B>) {
    this.#bytesOf = bytesOf
  }

  txn({ compare = [], success = [], failure = [] }: TxnFields<B>, path: string): KvTxn {
    return {
      compare: compare.map((fields, at) => this.#comparison(fields, `${path}compare[${at}]`)),
      success: success.map((fields, at) => this.#operation(fields, `${path}success[${at}]`)),
      failure: failure.map((fields, at) => this.#operation(fields, `${path}failure[${at}]`)),
    }
  }

  #comparison(fields: ComparisonFields<B>, name: string): KvComparison {
    const where = this.#where(fields, name)
    if (fields.exists !== undefined) return existence(fields, fields.exists, where, name)
    const target = needed(TARGETS, fields.target, `${name}.target`)
    const op = needed(OPERATORS, fields.op, `${name}.op`)
    const { to } = fields
    if (to === undefined) throw lacking(`${name}.to`)
    switch (target) {
      case 'value':
        if (typeof to === 'number') throw wrong(`${name}.to`, 'must be string or object')
        return { where, op, target, to: this.#bytesOf(to, `${name}.to`) }
      case 'lease':
        return { where, op, target, to: decodeLeaseTarget(to, `${name}.to`) }
      default:
        if (typeof to !== 'number') throw wrong(`${name}.to`, 'must be integer')
        return { where, op, target, to }
    }
  }

  #operation(fields: OperationFields<B>, name: string): KvTxnOperation {
    const { put, get, delete: removed, txn } = fields
    if (put !== undefined) return this.#put(put, `${name}.put`)
    if (get !== undefined) {
      const { limit, keys_only: keysOnly = false, count = false, count_only: countOnly = false } = get
      return { kind: 'get', where: this.#where(get, `${name}.get`), limit, keysOnly, count, countOnly }
    }
    if (removed !== undefined)
      return { kind: 'delete', where: this.#where(removed, `${name}.delete`), prev: removed.prev ?? false }
    if (txn !== undefined) return { kind: 'txn', txn: this.txn(txn, `${name}.txn.`) }
    throw new Error(`${name} is no operation, and its wire accepts it`)
  }

  #put(fields: PutFields<B>, name: string): KvTxnOperation {
    const lease = parsePutLease(fields.lease, fields.ttl, `${name}.`)
    const key = checkedKey(this.#bytesOf(fields.key, `${name}.key`), `${name}.key: `)
    const value = checkedValue(this.#bytesOf(fields.value, `${name}.value`), `${name}: `)
    return { kind: 'put', key, value, prev: fields.prev ?? false, lease }
  }

  #where({ key, prefix, start, end }: WhereFields<B>, name: string): Where {
    const isRange = start !== undefined || end !== undefined
    const forms = Number(key !== undefined) + Number(prefix !== undefined) + Number(isRange)
    if (forms !== 1) throw wrong(name, 'must have either key, or prefix, or start and end')
    if (key !== undefined) return { key: checkedKey(this.#bytesOf(key, `${name}.key`), `${name}.key: `) }
    const bound = (fields: B | string | undefined, field: string): Uint8Array | undefined =>
      fields === undefined
        ? undefined
        : checkedBound(this.#bytesOf(fields, `${name}.${field}`), `${name}.${field}`)
    return keyRange({ prefix: bound(prefix, 'prefix'), start: bound(start, 'start'), end: bound(end, 'end') })
  }
}

function existence(
  fields: ComparisonFields<unknown>,
  exists: boolean,
  where: Where,
  name: string,
): KvComparison {
  const { target, op, to } = fields
  if (target !== undefined || op !== undefined || to !== undefined)
    throw wrong(`${name}.exists`, 'stands in place of target, op and to')
  if (!('key' in where)) throw wrong(`${name}.exists`, 'is for one key, not for a range')
  return { where, target: 'version', op: exists ? '!=' : '=', to: 0 }
}

/** The one of the options that is given. */
function needed<T extends string>(options: readonly T[], fields: string | undefined, name: string): T {
  const found = options.find((option) => option === fields)
  if (found === undefined) throw lacking(name)
  return found
}

const lacking = (name: string): ApiError => new ApiError('bad_request', `the body lacks the field "${name}"`)

/** The lease of a comparison; undefined: none. */
function decodeLeaseTarget(to: unknown, name: string): LeaseId | undefined {
  if (to === NO_LEASE_ID) return undefined
  if (typeof to === 'string' && isLeaseId(to)) return to
  throw wrong(name, `must be the id of a lease: ${LEASE_ID_FORM}, in a string`)
}

const wrong = (name: string, what: string): ApiError => new ApiError('bad_request', `${name} ${what}`)

// ---------------------------------------------------------------------------------------------------------------------
// As a client encodes them. Bytes stay bytes, and an option that is not requested is left out.

/** The parts of a transaction that each wire encodes in its own way. */
export interface TxnPartEncoders {
  encodeComparison(comparison: KvComparison): object
  /** Returns a new object, to which the options of an operation are added. */
  encodeWhere(where: Where): Record<string, unknown>
}

export const encodeTxnFields = ({ compare, success, failure }: KvTxn, wire: TxnPartEncoders): object => ({
  compare: compare.map((each) => wire.encodeComparison(each)),
  success: success.map((each) => encodeOperation(each, wire)),
  failure: failure.map((each) => encodeOperation(each, wire)),
})

function encodeOperation(operation: KvTxnOperation, wire: TxnPartEncoders): object {
  switch (operation.kind) {
    case 'put': {
      checkKeepsNothing(operation)
      const { key, value, prev, lease } = operation
      const put: Record<string, unknown> = { key, value, ...leaseNames(lease) }
      if (prev) put.prev = true
      return { put }
    }
    case 'get': {
      const { where, limit, keysOnly, count, countOnly, revision } = operation
      if (revision !== undefined) throw unsayable('the revision of a get in a transaction')
      const get = wire.encodeWhere(where)
      if (limit !== undefined) get.limit = limit
      if (keysOnly) get.keys_only = true
      if (count) get.count = true
      if (countOnly) get.count_only = true
      return { get }
    }
    case 'delete': {
      const removed = wire.encodeWhere(operation.where)
      if (operation.prev) removed.prev = true
      return { delete: removed }
    }
    case 'txn':
      return { txn: encodeTxnFields(operation.txn, wire) }
  }
}
