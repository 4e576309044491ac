// The log of the store, as one client received it by consecutive watches.

import { FIRST_REVISION, type History, type WatchCall } from '../../workload/history.ts'
import type { Anomaly } from '../anomaly.ts'
import { EventLog, type LoggedEvent, type WatchedEvent } from '../watch/index.ts'

export interface LoggedRevision {
  readonly revision: number
  /** The first position in the history at which it arrived, and the time. */
  readonly position: number
  readonly timeMs: number
  readonly events: readonly LoggedEvent[]
}

export interface StoreLog {
  /** The logged revisions, in rising order. */
  readonly revisions: readonly LoggedRevision[]
  readonly events: EventLog
  /** The recorder knows that everything up to here was delivered. */
  readonly due: number
  readonly findings: readonly Anomaly[]
}

/** Whether this watch is one of the log. */
export const tellsLog = ({ header }: History, { client }: WatchCall): boolean => client === header.log

export function buildStoreLog(history: History): StoreLog {
  const revisions: LoggedRevision[] = []
  const findings: Anomaly[] = []
  let [upTo, due] = [FIRST_REVISION, FIRST_REVISION]
  for (const watch of history.watches.filter((one) => tellsLog(history, one))) {
    for (const { position, timeMs, message } of watch.messages) {
      if (message.kind === 'compacted') {
        const why = `the watch that records the log ended at ${message.next}, because it was compacted; nobody had requested that yet`
        findings.push({ check: 'log', key: undefined, message: why, calls: [] })
      }
      if (message.kind === 'due') due = Math.max(due, message.revision)
      if (message.kind === 'progress') upTo = Math.max(upTo, message.revision)
      // Another watch of this client may tell it again, which checker/watch judges.
      if (message.kind !== 'events' || message.revision <= (revisions.at(-1)?.revision ?? 1)) continue
      const { revision } = message
      upTo = Math.max(upTo, revision)
      const events = message.events.map((event) => loggedEvent(event, revision))
      revisions.push({ revision, position, timeMs, events })
    }
  }
  return {
    revisions,
    findings,
    due,
    events: new EventLog(
      revisions.flatMap(({ events }) => events),
      upTo,
    ),
  }
}

const loggedEvent = ({ key, record }: WatchedEvent, revision: number): LoggedEvent => ({
  key,
  revision,
  record: record === undefined ? null : { ...record, value: record.value ?? '' },
})
