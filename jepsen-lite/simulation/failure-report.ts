// The report of a run that has failed (jepsen-lite/report).

import { check } from '../checker/index.ts'
import type { RecordedHistory } from '../history/recorded-history.ts'
import { renderReport } from '../report/index.ts'
import type { NoteEvent } from '../workload/history.ts'
import type { SimulationError } from './error.ts'

/** The order of the operations only adds to the failure: the search for it must not take long. */
const CONFIGURATIONS_MAX = 100_000

export function renderFailureReport(error: SimulationError, recorded: RecordedHistory): string {
  const { code, what, virtualMs, seed, schedule, trace } = error
  const read = recorded.read()
  const violation: NoteEvent = { type: 'note', time: virtualMs, what: 'violation', message: what }
  const history = { ...read, notes: [...read.notes, violation] }
  return renderReport({
    history,
    verdict: check(history, { configurationsMax: CONFIGURATIONS_MAX }),
    failure: { code, what, timeMs: virtualMs, seed, schedule, steps: trace },
  })
}
