// Runs a schedule of the simulator again for the report: its history, with added notes about the state of each machine,
// the ends of faults, and a violation.

import { judge } from '../checker/index.ts'
import { isRecipeSchedule, runRecipes } from '../recipes/index.ts'
import {
  type EventObserver,
  parseSchedule,
  type RunResult,
  runSchedule,
  type Schedule,
} from '../sim/index.ts'
import { buildHistory, type HistoryEvent, type NoteEvent } from '../workload/history.ts'
import type { ReportSources } from './index.ts'

/** `command`: the command that repeats it. */
export async function simulated(text: string, command: string): Promise<ReportSources> {
  const schedule = parseSchedule(text)
  const { notes, result } = await watched(schedule)
  const { nodes, spares } = schedule.config
  const names = Array.from({ length: nodes + spares }, (_, at) => `n${at + 1}`)
  const events = merged(
    result.history.filter((event) => event.type !== 'note' || event.what !== 'role'),
    [...notes, ...healNotes(schedule, result), ...violationNotes(result)].sort((a, b) => a.time - b.time),
  ).map((event) => (event.type === 'history' ? { ...event, nodes: names, command } : event))
  const history = buildHistory(events)
  const { check: verdict } = judge(history)
  const { violation, probes } = result
  const findings = violation === undefined ? [] : [{ kind: violation.invariant, message: violation.detail }]
  const word = violation === undefined ? verdict.verdict : 'violation'
  return { history, verdict, run: { verdict: word, findings, skipped: {} }, probes }
}

/**
 * Runs the schedule. At each line of its trace, compares the state of every machine with the last one, and notes
 * changes.
 */
async function watched(
  schedule: Schedule,
): Promise<{ readonly notes: readonly NoteEvent[]; readonly result: RunResult }> {
  const notes: NoteEvent[] = []
  const last = new Map<string, { runs: boolean; paused: boolean; role: string }>()
  const watch: EventObserver = ({ atMs, cluster }) => {
    for (const { name, process } of cluster.machines) {
      const before = last.get(name) ?? { runs: false, paused: false, role: '' }
      const runs = process !== undefined
      const paused = process?.paused ?? false
      const note = (what: string, details: object = {}): number =>
        notes.push({ ...details, type: 'note', time: atMs, node: name, what })
      if (runs && !before.runs) note('start')
      if (!runs && before.runs) note('kill')
      if (runs && paused !== before.paused) note(paused ? 'pause' : 'resume')
      const raft = process?.driver?.status().raft
      const role = raft === undefined ? '' : `${raft.role} ${raft.term}`
      if (raft !== undefined && role !== before.role) note('role', { role: raft.role, term: raft.term })
      last.set(name, { runs, paused, role })
    }
  }
  const result = isRecipeSchedule(schedule) ? await runRecipes(schedule, watch) : runSchedule(schedule, watch)
  return { notes, result }
}

/**
 * The simulator notes the beginning of each fault with the nodes that it strikes. Here its end is added. The simulator
 * counts effects only for each kind of fault, so all faults of a kind have the same effect.
 */
function healNotes({ config }: Schedule, { history, faults }: RunResult): NoteEvent[] {
  return history.flatMap((event): NoteEvent[] => {
    if (event.type !== 'note' || event.what !== 'inject') return []
    const { time, fault, id, nodes, details } = event
    const ms = typeof details === 'object' && details !== null && 'ms' in details ? Number(details.ms) : 0
    const count = typeof fault === 'string' ? (faults[fault] ?? 0) : 0
    const effect = count > 0 ? `this kind took effect ${count} times in this schedule` : null
    const until = Math.max(time, Math.min(time + ms, config.ms))
    return [{ type: 'note', time: until, what: 'heal', fault, id, nodes, effect }]
  })
}

const violationNotes = ({ violation }: RunResult): NoteEvent[] =>
  violation === undefined
    ? []
    : [{ type: 'note', time: violation.atMs, what: 'violation', message: violation.detail }]

/** All events in the order of their times; the header first. */
function merged(events: readonly HistoryEvent[], notes: readonly NoteEvent[]): HistoryEvent[] {
  const eventTime = (event: HistoryEvent): number =>
    event.type === 'history' ? Number.NEGATIVE_INFINITY : event.time
  // The sort is stable: at the same time, an event stays before the notes, and events stay in their order.
  return [...events, ...notes].sort((a, b) => eventTime(a) - eventTime(b))
}
