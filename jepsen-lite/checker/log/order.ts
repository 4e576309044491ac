// The order of the answers in a history with a log. Messages of watches count as well, and a watch begins like a read.

import type { History } from '../../workload/history.ts'
import type { Anomaly } from '../anomaly.ts'
import { finalAnswers, type KnownRevision, type OrderedAnswer, outOfOrder } from '../order.ts'
import { isStaleRead } from '../partition.ts'
import { collectLogRequests } from './requests.ts'

const collectOrderedAnswers = (history: History): OrderedAnswer[] => [
  ...collectAnswers(history),
  ...collectWatchStarts(history),
  ...finalAnswers(history, 'log'),
]

/** Revisions that clients knew, the highest first. */
export const collectKnownRevisions = (history: History): KnownRevision[] =>
  [...collectOrderedAnswers(history), ...collectWatchedRevisions(history)].sort(
    (a, b) => b.revision - a.revision,
  )

export const checkOrder = (history: History): Anomaly[] =>
  outOfOrder(collectOrderedAnswers(history), collectWatchedRevisions(history))

function collectAnswers(history: History): OrderedAnswer[] {
  const changes = collectLogRequests(history).flatMap(
    ({ ids: [id], start, end, changed, revision }): OrderedAnswer[] =>
      changed === true && revision !== undefined && id !== undefined
        ? [{ ...ofCall(id), start, end, revision, isChange: true, key: undefined }]
        : [],
  )
  const made = new Set(changes.flatMap(({ calls }) => calls))
  const others = [...history.calls, ...history.storeCalls].flatMap((call): OrderedAnswer[] => {
    const { id, start, end, outcome, op } = call
    if (outcome.kind !== 'ok' || made.has(id)) return []
    // A get inside a transaction that changes something returns the revision before that change.
    const { revision } = outcome.result
    if (revision === undefined) return []
    const isStale = (op.f === 'get' || op.f === 'range') && isStaleRead({ ...call, op })
    const key = 'key' in op ? op.key : undefined
    return [{ ...ofCall(id), start, end, revision, isChange: false, isStale, key }]
  })
  return [...changes, ...others]
}

const ofCall = (id: number): Pick<OrderedAnswer, 'check' | 'what' | 'calls'> => ({
  check: 'log',
  what: `operation ${id}`,
  calls: [id],
})

/** How watches began. */
const collectWatchStarts = ({ watches }: History): OrderedAnswer[] =>
  watches.flatMap(({ id, start, messages: [first] }): OrderedAnswer[] => {
    if (first?.message.kind !== 'created') return []
    const { revision } = first.message
    return [
      {
        check: 'log',
        what: `watch ${id}`,
        calls: [],
        key: undefined,
        start,
        end: first.position,
        revision,
        isChange: false,
      },
    ]
  })

/** Later messages. */
const collectWatchedRevisions = ({ watches }: History): KnownRevision[] =>
  watches.flatMap(({ id, messages }) =>
    messages.flatMap(({ position, message: one }): KnownRevision[] =>
      one.kind === 'events' || one.kind === 'progress'
        ? [{ what: `watch ${id}`, calls: [], end: position, revision: one.revision }]
        : [],
    ),
  )
