// Operations and their expected results, whatever the wire.

import { BATCH_CASES } from './batch-cases.ts'
import { KEY_CASES } from './key-cases.ts'
import { LEASE_CASES } from './lease-cases.ts'
import { RANGE_CASES } from './range-cases.ts'
import {
  batch,
  type Case,
  compact,
  del,
  deleteRange,
  get,
  keepAlive,
  OPEN_SESSION,
  put,
  range,
  type Step,
  txn,
} from './steps.ts'
import { TXN_CASES } from './txn-cases.ts'

export const CASES: readonly Case[] = [
  ...KEY_CASES,
  ...RANGE_CASES,
  ...BATCH_CASES,
  ...TXN_CASES,
  ...LEASE_CASES,
]

/** Steps for a node that fails. Errors of reads do not say whether something was written. */
export const FAILING_READS: readonly Step[] = [
  get('a'),
  range(),
  txn({ success: [{ get: { key: 'a' } }] }),
  keepAlive('7'),
]

export const FAILING_CHANGES: readonly Step[] = [
  put('a', '1'),
  put('a', '1', { prev: true }),
  del('a'),
  batch([put('a', '1')]),
  deleteRange({ prefix: 'a' }),
  txn({ success: [{ put: { key: 'a', value: '' } }] }),
  compact(2),
  OPEN_SESSION,
]
