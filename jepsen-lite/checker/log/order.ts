// Real time: an answer reflects no lower revision than any that was known before its request, and a change is above all
// of these. Messages of watches count as well, and a watch begins like a read. A stale read may reflect less, but what
// it shows has happened. At the end each node has everything.

import type { History } from '../../workload/history.ts'
import type { Anomaly } from '../anomaly.ts'
import { isStaleRead } from '../partition.ts'
import { requestsIn } from './requests.ts'

/** A revision of the store that a client received. */
export interface KnownRevision {
  /** Where in the history. */
  readonly end: number
  readonly revision: number
  readonly what: string
  readonly calls: readonly number[]
}

interface Answer extends KnownRevision {
  readonly start: number
  readonly isChange: boolean
  /** It may reflect less than earlier answers. */
  readonly isStale?: boolean
  readonly key: string | undefined
}

const answersOf = (history: History): Answer[] => [
  ...answersIn(history),
  ...watchesIn(history),
  ...finalsIn(history),
]

/** By revision, the highest first. */
export const knownRevisionsIn = (history: History): KnownRevision[] =>
  [...answersOf(history), ...toldIn(history)].sort((a, b) => b.revision - a.revision)

export function checkOrder(history: History): Anomaly[] {
  const answers = answersOf(history)
  const byEnd = [...answers, ...toldIn(history)].sort((a, b) => a.end - b.end)
  const findings: Anomaly[] = []
  let newest: KnownRevision | undefined
  let next = 0
  for (const answer of answers.sort((a, b) => a.start - b.start)) {
    for (let one = byEnd[next]; one !== undefined && one.end < answer.start; one = byEnd[++next])
      if (newest === undefined || one.revision > newest.revision) newest = one
    if (newest === undefined || answer.isStale) continue
    if (answer.revision >= newest.revision + (answer.isChange ? 1 : 0)) continue
    const how = answer.isChange ? 'made' : 'reflects'
    const message = `${answer.what} ${how} revision ${answer.revision}, and before it was requested ${newest.what} had shown ${newest.revision}`
    findings.push({ check: 'log', key: answer.key, message, calls: [...newest.calls, ...answer.calls] })
  }
  return findings
}

function answersIn(history: History): Answer[] {
  const changes = requestsIn(history).flatMap(({ ids: [id], start, end, changed, revision }): Answer[] =>
    changed === true && revision !== undefined && id !== undefined
      ? [{ ...ofCall(id), start, end, revision, isChange: true, key: undefined }]
      : [],
  )
  const made = new Set(changes.flatMap(({ calls }) => calls))
  const others = [...history.calls, ...history.storeCalls].flatMap((call): Answer[] => {
    const { id, start, end, outcome, op } = call
    if (outcome.kind !== 'ok' || made.has(id)) return []
    // A get that belongs to a transaction that changes something tells the revision before.
    const { revision } = outcome.result
    if (revision === undefined) return []
    const isStale = (op.f === 'get' || op.f === 'range') && isStaleRead({ ...call, op })
    const key = 'key' in op ? op.key : undefined
    return [{ ...ofCall(id), start, end, revision, isChange: false, isStale, key }]
  })
  return [...changes, ...others]
}

const ofCall = (id: number): Pick<KnownRevision, 'what' | 'calls'> => ({
  what: `operation ${id}`,
  calls: [id],
})

/** How watches began. */
const watchesIn = ({ watches }: History): Answer[] =>
  watches.flatMap(({ id, start, messages: [first] }): Answer[] => {
    if (first?.message.kind !== 'created') return []
    const { revision } = first.message
    return [
      {
        what: `watch ${id}`,
        calls: [],
        start,
        end: first.position,
        revision,
        isChange: false,
        key: undefined,
      },
    ]
  })

/** Later messages. */
const toldIn = ({ watches }: History): KnownRevision[] =>
  watches.flatMap(({ id, messages }) =>
    messages.flatMap(({ position, message: one }): KnownRevision[] =>
      one.kind === 'events' || one.kind === 'progress'
        ? [{ what: `watch ${id}`, calls: [], end: position, revision: one.revision }]
        : [],
    ),
  )

const finalsIn = ({ finals }: History): Answer[] =>
  finals.map(({ node, revision, position }) => ({
    what: `the content of ${node} at the end`,
    ...{ calls: [], start: position, end: position, revision, isChange: false, key: undefined },
  }))
