// Operations and answers in a few words, for the bars and the tables.

import { assertNever } from '../checker/models/plain.ts'
import type { AnyOperation, CallOutcome, RecordedRange, RecordedResult } from '../workload/history.ts'

/** A long value is cut to its end, because an append adds there. */
const VALUE_SHOWN_MAX = 80
const ROWS_SHOWN_MAX = 8

function quoted(value: string | null): string {
  if (value === null) return 'absent'
  return JSON.stringify(value.length <= VALUE_SHOWN_MAX ? value : `…${value.slice(-VALUE_SHOWN_MAX)}`)
}

export function formatOperation(op: AnyOperation): string {
  const words = [operationVerb(op)]
  if (op.f === 'get' && op.at !== undefined) words.push(`as it was at ${op.at}`)
  if ('consistency' in op && op.consistency !== undefined) words.push(`(${op.consistency})`)
  if ('ifRevision' in op && op.ifRevision !== undefined) words.push(`if @${op.ifRevision}`)
  if ('ifAbsent' in op && op.ifAbsent) words.push('if absent')
  if ('maxStalenessMs' in op && op.maxStalenessMs !== undefined) words.push(`≤ ${op.maxStalenessMs} ms old`)
  if ('minRevision' in op && op.minRevision !== undefined) words.push(`store ≥ ${op.minRevision}`)
  if (op.f === 'put' && op.lease !== undefined) words.push(`with lease ${op.lease}`)
  if (op.f === 'put' && op.ttlMs !== undefined) words.push(`for ${op.ttlMs} ms`)
  if ('idempotency' in op && op.idempotency !== undefined) words.push(`token ${op.idempotency}`)
  return words.join(' ')
}

function operationVerb(op: AnyOperation): string {
  switch (op.f) {
    case 'get':
    case 'del':
      return `${op.f} ${op.key}`
    case 'put':
      return `put ${op.key} = ${quoted(op.value)}`
    case 'cas':
      return `cas ${op.key} ${quoted(op.from)} → ${quoted(op.to)}`
    case 'append':
      return `append ${op.key} + ${quoted(op.value)}`
    case 'range':
      return rangeWords(op)
    case 'acquire':
      return `acquire ${op.key} for ${op.owner}`
    case 'release':
      return `release ${op.key} of ${op.owner}, token ${op.token}`
    case 'del-range':
      return `delete ${op.prefix === undefined ? `${op.start ?? ''} … ${op.end ?? ''}` : `${op.prefix}*`}`
    case 'compact':
      return `compact up to ${op.revision}`
    case 'grant':
      return `grant a lease of ${op.ttlMs} ms`
    case 'keep-alive':
      return `keep lease ${op.lease} alive`
    case 'revoke':
      return `revoke lease ${op.lease}`
    case 'lease':
      return `lease ${op.lease}?`
    case 'lock':
      return `lock ${op.name}`
    case 'unlock':
      return `unlock ${op.name}, token ${op.token}`
    case 'guarded-put':
      return `put ${op.key} = ${quoted(op.value)} while ${op.name} is held with token ${op.token}`
    case 'push':
      return `push ${quoted(op.value)} to ${op.queue}, priority ${op.priority}`
    case 'pop':
      return `pop from ${op.queue}`
    case 'ack':
    case 'nack':
      return `${op.f} ${op.item} of ${op.queue}, token ${op.token}`
    default:
      return assertNever(op)
  }
}

function rangeWords(op: RecordedRange): string {
  const { prefix, start, end, after, limit, order, keysOnly, count, countOnly, stream } = op
  const words = [prefix === undefined ? `range ${start ?? ''} … ${end ?? ''}` : `range ${prefix}*`]
  if (after !== undefined) words.push(`after ${after}`)
  if (limit !== undefined) words.push(`at most ${limit}`)
  if (order === 'desc') words.push('descending')
  if (keysOnly) words.push('keys only')
  if (count) words.push('with count')
  if (countOnly) words.push('count only')
  if (stream) words.push('as a stream')
  return words.join(' ')
}

export function formatOutcome(outcome: CallOutcome): string {
  return outcome.kind === 'ok' ? formatResult(outcome.result) : outcome.why
}

function formatResult(result: RecordedResult): string {
  const {
    value,
    modRevision,
    revision,
    applied,
    current,
    deleted,
    rows,
    more,
    count,
    served,
    stalenessMs,
    replayed,
    node,
    removed,
    lease,
    ttlMs,
    token,
    item,
    attempts,
    priority,
  } = result
  const words: string[] = []
  if (applied === false) words.push('condition did not hold')
  if (value !== undefined) words.push(quoted(value))
  if (modRevision !== undefined) words.push(`@${modRevision}`)
  if (current !== undefined) words.push(current === null ? 'no such key' : `key at @${current}`)
  if (deleted !== undefined) words.push(`deleted ${deleted}`)
  if (item !== undefined) words.push(`item ${item}`)
  if (token !== undefined) words.push(`token ${token}`)
  if (attempts !== undefined) words.push(`attempt ${attempts}`)
  if (priority !== undefined) words.push(`priority ${priority}`)
  if (lease !== undefined) words.push(`lease ${lease}`)
  if (ttlMs !== undefined) words.push(`${ttlMs} ms`)
  if (removed !== undefined) words.push(`${removed} keys deleted`)
  if (rows !== undefined) {
    const shown = rows
      .slice(0, ROWS_SHOWN_MAX)
      .map(({ key, value: held }) => (held === undefined ? key : `${key} = ${quoted(held)}`))
    words.push(`${rows.length} rows: ${shown.join(', ')}${rows.length > shown.length ? ', …' : ''}`)
  }
  if (more) words.push('and more')
  if (count !== undefined) words.push(`${count} keys`)
  if (revision !== undefined) words.push(`store ${revision}`)
  if (served !== undefined) words.push(`served ${served}`)
  if (stalenessMs !== undefined) words.push(`at most ${stalenessMs} ms old`)
  if (replayed) words.push('applied before')
  if (node !== undefined) words.push(`by ${node}`)
  return words.join(', ') || 'done'
}
