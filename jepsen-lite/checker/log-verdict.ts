// Everything that is judged of a history with a log: the log itself, watches, leases, locks and queues.

import { FIRST_REVISION, type History, HistoryError, type WatchCall } from '../workload/history.ts'
import type { Anomaly } from './anomaly.ts'
import { checkDurability } from './durability.ts'
import { checkLeasesInHistory } from './leases/in-history.ts'
import { checkLocks } from './locks.ts'
import { checkLog, collectLogRequests, type LogVerdict, tellsLog } from './log/index.ts'
import { newestBefore } from './order.ts'
import { checkQueues } from './queues.ts'
import { checkReads } from './reads.ts'
import { checkWatches } from './watch/index.ts'

interface LogFindings {
  readonly findings: readonly Anomaly[]
  /** Answers that were compared with the log. */
  readonly compared: number
}

export function checkLogged(history: History): LogFindings {
  mustHaveLog(history)
  const verdict = checkLog(history)
  return {
    findings: [
      ...verdict.findings,
      ...checkReads(history).findings,
      ...checkDurability(history),
      ...checkWatchesAgainstLog(history, verdict),
      ...checkLeasesInHistory(history, verdict).map(
        ({ guarantee, promise, message }): Anomaly => ({
          check: 'leases',
          key: undefined,
          calls: [],
          message: `${promise} ${guarantee}: ${message}`,
        }),
      ),
      ...checkLocks(history, verdict),
      ...checkQueues(history),
    ],
    compared: verdict.compared,
  }
}

/** The header names it. The watches of that client must be able to tell every change. */
function mustHaveLog(history: History): void {
  const { header, watches } = history
  const logWatches = watches.filter((watch) => tellsLog(history, watch))
  const [first] = logWatches
  const refuse = (why: string): never => {
    throw new HistoryError(`the log is what client ${header.log} received: ${why}`)
  }
  if (first === undefined) refuse('it has no watch')
  for (const { id, selection } of logWatches)
    if (
      selection.key !== undefined ||
      (selection.start ?? '') !== '' ||
      selection.end !== undefined ||
      selection.only !== undefined ||
      !selection.values
    )
      refuse(`watch ${id} does not ask for every change of every key, with values`)
  if ((first?.selection.from ?? Number.POSITIVE_INFINITY) > FIRST_REVISION + 1)
    refuse('its first watch does not begin at revision 1')
  if (typeof header.initial === 'string')
    refuse('the store is empty at its beginning, so the header has no initial value')
}

function checkWatchesAgainstLog(history: History, { log }: LogVerdict): Anomaly[] {
  const answeredBefore = newestBefore(answeredChanges(history))
  const records = history.watches.map((watch) => ({
    name: watchName(watch),
    selection: watch.selection,
    answered: answeredBefore(watch.start),
    messages: watch.messages.map(({ message }) => message),
  }))
  // An unrecorded client may have compacted as well.
  const compacted = history.header.complete === true ? newestCompaction(history) : undefined
  return checkWatches(records, log.events, { compacted }).map(({ guarantee, promise, message }) => ({
    check: 'watches',
    key: undefined,
    message: `${promise} ${guarantee}: ${message}`,
    calls: [],
  }))
}

const newestCompaction = ({ storeCalls }: History): number =>
  storeCalls.reduce(
    (most, { op, outcome }) =>
      op.f === 'compact' && outcome.kind !== 'fail' ? Math.max(most, op.revision) : most,
    0,
  )

const watchName = ({ id, client, node }: WatchCall): string => `watch ${id} (client ${client}, at ${node})`

/** The revision of each acknowledged change, and where in the history it was answered. */
const answeredChanges = (history: History): { readonly end: number; readonly revision: number }[] =>
  collectLogRequests(history).flatMap(({ changed, revision, end }) =>
    changed === true && revision !== undefined ? [{ end, revision }] : [],
  )
