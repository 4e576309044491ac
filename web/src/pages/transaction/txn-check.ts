// The check of a transaction while it is typed: its JSON, then its fields by the schema of the request, then what the
// decoder of a node refuses. The first fault has a place in the text.

import { ApiError } from '../../../../src/operations/forms/problems.ts'
import type { KvTxn } from '../../../../src/operations/forms/transactions.ts'
import {
  fieldPath,
  formatPosition,
  type JsonText,
  parseJsonText,
  TextFault,
} from '../../../../src/operations/http/json-text.ts'
import { describeSchemaFault, findSchemaFault } from '../../../../src/operations/http/schema-fault.ts'
import { decodeTxnBody, TxnBody } from '../../../../src/operations/http/transactions.ts'

export type CheckedText =
  | { readonly kind: 'empty' }
  | { readonly kind: 'valid'; readonly txn: KvTxn }
  | {
      readonly kind: 'fault'
      /** Where it is, in UTF-16 units. */
      readonly index: number
      /** `line 2, column 7`. */
      readonly position: string
      readonly message: string
      /** The text is JSON, and no transaction. */
      readonly isJson: boolean
    }

export function checkText(text: string): CheckedText {
  if (text.trim() === '') return { kind: 'empty' }
  const faultAt = (index: number, message: string, isJson = true): CheckedText => ({
    kind: 'fault',
    index,
    position: formatPosition(text, index),
    message,
    isJson,
  })
  try {
    const json = parseJsonText(text)
    const fault = findSchemaFault(TxnBody, json.value)
    if (fault === undefined) return { kind: 'valid', txn: decodeTxnBody(json.value as object) }
    // A field that is unknown is named in the text. One that is lacking is not: then the object has the fault.
    const named = json.indexes.get(fieldPath(fault.path, fault.name ?? ''))
    return faultAt(named ?? findIndex(json, fault.path), describeSchemaFault(fault))
  } catch (error) {
    if (error instanceof TextFault) return faultAt(error.index, error.message, false)
    if (error instanceof ApiError)
      return faultAt(findIndex(parseJsonText(text), error.message), error.message)
    throw error
  }
}

/** The place of the first path in the message, or of the nearest that is in the text. */
function findIndex({ indexes }: JsonText, message: string): number {
  let [path = ''] = /(?:compare|success|failure)(?:\[[0-9]+\]|\.[a-z_0-9]+)*/.exec(message) ?? []
  while (path !== '' && !indexes.has(path)) path = path.replace(/(?:^|\.|\[)[^.[]*$/, '')
  return indexes.get(path) ?? 0
}
