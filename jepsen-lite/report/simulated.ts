// A schedule of the simulator, run again and drawn as a recorded run is: what its clients saw, and beside that notes of
// what each machine was, and of every fault.

import { check } from '../checker/index.ts'
import { type HistoryEvent, historyOf, type Note } from '../history.ts'
import { parseSchedule, type Result, runSchedule, type Schedule } from '../sim/index.ts'
import type { Reported } from './index.ts'

/** `command`: what to type to see it again. */
export function simulated(text: string, command: string): Reported {
  const schedule = parseSchedule(text)
  const { notes, result } = watched(schedule)
  const { nodes, spares } = schedule.config
  const names = Array.from({ length: nodes + spares }, (_, at) => `n${at + 1}`)
  const events = merged(
    result.history.filter((event) => event.type !== 'note' || event.what !== 'role'),
    [...notes, ...healNotes(schedule, result), ...violationNotes(result)].sort((a, b) => a.time - b.time),
  ).map((event) => (event.type === 'history' ? { ...event, nodes: names, command } : event))
  const history = historyOf(events)
  const verdict = check(history)
  const { violation, probes } = result
  const findings = violation === undefined ? [] : [{ kind: violation.invariant, message: violation.detail }]
  const word = violation === undefined ? verdict.verdict : 'violation'
  return { history, verdict, run: { verdict: word, findings, skipped: {} }, probes }
}

/** Looks at every machine whenever something is worth a line, and notes what has changed. */
function watched(schedule: Schedule): { readonly notes: readonly Note[]; readonly result: Result } {
  const notes: Note[] = []
  const last = new Map<string, { runs: boolean; paused: boolean; role: string }>()
  const result = runSchedule(schedule, ({ atMs, cluster }) => {
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
  })
  return { notes, result }
}

/**
 * The simulator notes each fault with whom it strikes, when it does; a kind took effect if the simulator says it was
 * felt.
 */
function healNotes({ config }: Schedule, { history, faults }: Result): Note[] {
  return history.flatMap((event): Note[] => {
    if (event.type !== 'note' || event.what !== 'inject') return []
    const { time, fault, id, nodes, details } = event
    const ms = typeof details === 'object' && details !== null && 'ms' in details ? Number(details.ms) : 0
    const count = typeof fault === 'string' ? (faults[fault] ?? 0) : 0
    const effect = count > 0 ? `felt ${count} times by this schedule` : null
    const until = Math.max(time, Math.min(time + ms, config.ms))
    return [{ type: 'note', time: until, what: 'heal', fault, id, nodes, effect }]
  })
}

const violationNotes = ({ violation }: Result): Note[] =>
  violation === undefined
    ? []
    : [{ type: 'note', time: violation.atMs, what: 'violation', message: violation.detail }]

/** Both in the order of their times; the header first. */
function merged(events: readonly HistoryEvent[], notes: readonly Note[]): HistoryEvent[] {
  const timeOf = (event: HistoryEvent): number =>
    event.type === 'history' ? Number.NEGATIVE_INFINITY : event.time
  // Stable: at one time an event stays before the notes, and the events stay in their order.
  return [...events, ...notes].sort((a, b) => timeOf(a) - timeOf(b))
}
