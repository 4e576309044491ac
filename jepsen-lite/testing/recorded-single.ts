// put, get, delete and count, recorded.

import { jsonText } from '../../src/client/json-text.ts'
import type { RangeOptions } from '../../src/client/types.ts'
import { checkCount, checkDelete, checkGet, checkPut } from '../../src/client/validate-arguments.ts'
import type { HistoryOperation, RecordedResult } from '../workload/history.ts'
import {
  answerFields,
  answerListener,
  checkUnleased,
  defined,
  keyText,
  type Method,
  readFields,
  recordCall,
  recordResult,
  valueText,
} from './recording.ts'

type Put = Extract<HistoryOperation, { readonly f: 'put' }>
type Delete = Extract<HistoryOperation, { readonly f: 'del' }>
export type ListedRange = Extract<HistoryOperation, { readonly f: 'range' }>

export const put: Method<'put'> =
  (recording) =>
  async (key, value, options = {}) => {
    checkPut(key, value, options)
    const { ifRevision, ifAbsent, lease, ttlMs } = options
    checkUnleased(lease ?? ttlMs)
    const op: Put = {
      f: 'put',
      key: keyText(key),
      value: valueText(value),
      ...defined<Pick<Put, 'ifRevision' | 'ifAbsent'>>({ ifRevision, ifAbsent: ifAbsent || undefined }),
    }
    return recordCall(
      recording,
      op,
      () => recording.client.put(key, value, options),
      ({ revision, modRevision, version }) => ({ revision, modRevision, version }),
    )
  }

export const putJson: Method<'putJson'> = (recording) => async (key, value, options) =>
  put(recording)(key, jsonText('putJson', value), options)

export const del: Method<'delete'> =
  (recording) =>
  async (key, options = {}) => {
    checkDelete(key, options)
    const op: Delete = {
      f: 'del',
      key: keyText(key),
      ...defined<Pick<Delete, 'ifRevision'>>({ ifRevision: options.ifRevision }),
    }
    return recordCall(
      recording,
      op,
      () => recording.client.delete(key, options),
      ({ deleted, revision }) => ({ deleted, revision }),
    )
  }

export const get: Method<'get'> =
  (recording) =>
  async (key, options = {}) => {
    checkGet(key, options)
    const { onAnswer, last } = answerListener(options.onAnswer)
    return recordCall(
      recording,
      { f: 'get', key: keyText(key), ...readFields(recording, options) },
      () => recording.client.get(key, { ...options, onAnswer }),
      (record): RecordedResult => ({
        ...(record === undefined ? { value: null } : recordResult(record)),
        ...answerFields(last(), options.revision),
      }),
    )
  }

export const count: Method<'count'> =
  (recording) =>
  async (options = {}) => {
    checkCount(options)
    const { onAnswer, last } = answerListener(options.onAnswer)
    return recordCall(
      recording,
      { f: 'range', countOnly: true, ...borders(options), ...readFields(recording, options) },
      () => recording.client.count({ ...options, onAnswer }),
      (found) => ({ count: found, ...answerFields(last(), options.revision) }),
    )
  }

export const borders = ({
  prefix,
  start,
  end,
}: RangeOptions): Pick<ListedRange, 'prefix' | 'start' | 'end'> =>
  defined<Pick<ListedRange, 'prefix' | 'start' | 'end'>>({
    prefix: prefix === undefined ? undefined : keyText(prefix),
    start: start === undefined ? undefined : keyText(start),
    end: end === undefined ? undefined : keyText(end),
  })
