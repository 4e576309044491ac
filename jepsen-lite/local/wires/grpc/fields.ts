// Parts of etcd's messages as a history has them.

import type { ResponseHeader } from '../../../../src/etcd/messages/header.ts'
import {
  COMPARE_RESULTS,
  COMPARE_TARGETS,
  type Compare,
  type DeleteRangeRequest,
  type KeyValue,
  type PutRequest,
  type PutResponse,
  type RangeRequest,
  type RequestOp,
} from '../../../../src/etcd/messages/kv.ts'
import { compareKeys, prefixEnd } from '../../../../src/operations/forms/index.ts'
import type { RecordedResult } from '../../../workload/history.ts'
import { bodyFromName, nameFromBody } from '../../values.ts'
import { metaFrom, type RowMeta, WrongAnswer } from '../wire.ts'

export const encodeKey = (key: string): Uint8Array => Buffer.from(key)
export const decodeKey = (key: Uint8Array): string => Buffer.from(key).toString()

/** The value with this name. */
export const encodeValue = (name: string): Uint8Array => Buffer.from(bodyFromName(name))
export const decodeValue = (value: Uint8Array): string => nameFromBody(Buffer.from(value).toString())

const ZERO = Uint8Array.of(0)

interface Bounds {
  readonly prefix?: string | undefined
  readonly start?: string | undefined
  readonly end?: string | undefined
}

/** A zero byte is etcd's least key, and as an end it stands for none. */
export function encodeBounds({ prefix, start, end }: Bounds): Pick<RangeRequest, 'key' | 'rangeEnd'> {
  if (prefix !== undefined && prefix !== '')
    return { key: encodeKey(prefix), rangeEnd: prefixEnd(encodeKey(prefix)) ?? ZERO }
  return {
    key: start === undefined || start === '' ? ZERO : encodeKey(start),
    rangeEnd: end === undefined ? ZERO : encodeKey(end),
  }
}

/** The part of a range after a key, in the order of the request. */
export function encodeRest(
  bounds: Bounds & { readonly after?: string | undefined; readonly order?: 'asc' | 'desc' | undefined },
): Pick<RangeRequest, 'key' | 'rangeEnd'> {
  const { key, rangeEnd } = encodeBounds(bounds)
  const { after, order } = bounds
  if (after === undefined) return { key, rangeEnd }
  if (order === 'desc') {
    const end = encodeKey(after)
    const isWithin = compareKeys(rangeEnd, ZERO) === 0 || compareKeys(end, rangeEnd) < 0
    return { key, rangeEnd: isWithin ? end : rangeEnd }
  }
  const next = encodeKey(`${after}\0`)
  return { key: compareKeys(key, next) < 0 ? next : key, rangeEnd }
}

/** Fields that are missing have their defaults. */
type Draft =
  | { readonly requestRange: Partial<RangeRequest> }
  | { readonly requestPut: Partial<PutRequest> }
  | { readonly requestDeleteRange: Partial<DeleteRangeRequest> }

export const requestOp = (draft: Draft): RequestOp => draft as RequestOp

/** The key is at this revision; 0: it does not exist. */
export const isAt = (key: string, modRevision: number): Compare =>
  ({
    key: encodeKey(key),
    target: COMPARE_TARGETS.indexOf('MOD'),
    result: COMPARE_RESULTS.indexOf('EQUAL'),
    modRevision,
  }) as Partial<Compare> as Compare

export function revisionFrom(header: ResponseHeader | undefined): number {
  if (header === undefined || header.revision < 1) throw new WrongAnswer('a response without a revision')
  return header.revision
}

export function metaOfRow({ key, createRevision, modRevision, version }: KeyValue): RowMeta {
  const meta = metaFrom(createRevision, modRevision, version)
  if (meta !== undefined) return meta
  const shown = JSON.stringify({ createRevision, modRevision, version })
  throw new WrongAnswer(`the record of ${decodeKey(key)} contradicts itself: ${shown}`)
}

/** The one row of a key, if it is there. */
export function rowOf(key: string, kvs: readonly KeyValue[]): KeyValue | undefined {
  const [row] = kvs
  if (kvs.length > 1 || (row !== undefined && decodeKey(row.key) !== key))
    throw new WrongAnswer(`not the record of ${key}: ${kvs.map((each) => decodeKey(each.key)).join()}`)
  return row
}

export function resultOfRead(key: string, kvs: readonly KeyValue[]): RecordedResult {
  const row = rowOf(key, kvs)
  return row === undefined ? { value: null } : { value: decodeValue(row.value), ...metaOfRow(row) }
}

/** The revisions of a key after its put, by the record before. */
export function metaOfPut(key: string, { prevKv }: PutResponse, revision: number): RowMeta {
  if (prevKv === undefined) return { modRevision: revision, version: 1 }
  const row = rowOf(key, [prevKv])
  if (row === undefined || row.modRevision >= revision)
    throw new WrongAnswer(`the record of ${key} before revision ${revision} is of ${row?.modRevision}`)
  return { modRevision: revision, version: metaOfRow(row).version + 1 }
}

export function deletedOne(deleted: number): 0 | 1 {
  if (deleted === 0 || deleted === 1) return deleted
  throw new WrongAnswer(`${deleted} keys were deleted, where there can be one`)
}
