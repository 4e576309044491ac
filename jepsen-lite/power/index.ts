// Power loss on the real LevelDB. Records what a node does to its directory and what it acknowledges, and rebuilds the
// states that a power cut at any moment could leave. Opens them with the shipped code, and compares. README.md explains
// how and why.

import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ScratchDirectory } from '../scratch-directory.ts'
import { Random } from '../workload/random.ts'
import { filesOfState, PowerCheck, type PowerCheckOptions, type PowerViolation } from './check.ts'
import { listMissing, measureStorageCoverage, type StorageCoverage } from './coverage.ts'
import { DiskImage } from './disk.ts'
import type { OpenOutcome } from './open-worker.ts'
import { drawPlan } from './plan.ts'
import { type Files, putFiles, type RecordedSession, record } from './record.ts'
import { type StateCandidate, statesAt } from './states.ts'
import { RecordingError } from './trace.ts'

export { whyNot } from './record.ts'
export { RecordingError } from './trace.ts'

interface RecordOptions {
  readonly seed: number
  /** Sessions of the recorded process. Each ends with a power cut or with an orderly stop. */
  readonly sessions: number
  /** Requests in each step of its load. */
  readonly requests: number
  readonly progress: (line: string) => void
}

interface CheckingOptions extends PowerCheckOptions {
  readonly seed: number
  /** After this many seconds no more states are opened. */
  readonly seconds: number
  /** The disk forgets data that was synced. The check must find that. */
  readonly lyingDisk: boolean
}

export interface PowerReport {
  readonly seed: number
  readonly sessions: number
  /** Changes and syncs of the directory. */
  readonly disk_events: number
  readonly syncs: number
  /**
   * Syncs for which the extreme states right before and after were opened: with all data that was not synced, and with
   * none of it.
   */
  readonly syncs_covered: number
  /**
   * Syncs for which the states in between that are made on purpose were opened too: single files and names lost, writes
   * torn.
   */
  readonly syncs_covered_wholly: number
  readonly cuts: number
  /** Different states that the rules of the disk allow, among those that were generated. */
  readonly states_known: number
  /** Different directories that were opened. */
  readonly states: number
  /** Pairs of a state and a moment at which it may be left. Each was judged. */
  readonly judged: number
  readonly outcomes: Readonly<Record<OpenOutcome['kind'], number>>
  /** Counts of the states that were damaged on purpose: refused, found when read, without harm, silently less. */
  readonly damaged: Readonly<Record<'refused' | 'found' | 'unharmed' | 'silent', number>>
  readonly coverage: StorageCoverage
  /** Operations of the storage that the load should have caused, and did not. */
  readonly lacking: readonly string[]
  /** Why a session after the first did not reach its end, if one did not. */
  readonly failed_session: string | null
  readonly wall_seconds: number
  readonly violations: number
  readonly violations_by_kind: Readonly<Record<PowerViolation['kind'], number>>
  /** The first violations. */
  readonly violation_details: readonly PowerViolation[]
}

export interface PowerRecording {
  readonly sessions: readonly RecordedSession[]
  /** Why a later session did not reach its end. */
  readonly failure: string | undefined
}

/** Runs the process under load and faults, several times on the same directory. */
export async function recordSessions(options: RecordOptions): Promise<PowerRecording> {
  const directory = workDirectory()
  const work = directory.path
  try {
    const random = new Random(options.seed)
    const dir = join(work, 'n1')
    const others = [join(work, 'n2'), join(work, 'n3')]
    const marks = join(work, 'marks')
    const sessions: RecordedSession[] = []
    for (let number = 1; number <= options.sessions; number++) {
      // Long sessions with many events, and between them short ones that are cut off soon after a start with recovery.
      const script = number % 4 === 1 ? 'whole' : 'short'
      const ending = number % 8 === 5 ? 'stopped' : 'cut'
      const seed = random.named(`life ${number}`).below(2 ** 31)
      const subject = { dir, others, marks, seed, requests: options.requests, script, ending } as const
      const session = await record(subject, work)
      if (session.kind === 'failed') {
        // The second session may fail because of what the first one left. The check must find that out.
        if (sessions.length === 0) throw new RecordingError(session.reason)
        return { sessions, failure: `session ${number}: ${session.reason}` }
      }
      sessions.push(session)
      options.progress(`recorded session ${number} of ${options.sessions}: ${session.events.length} events`)
      // The next session begins with what a power cut at the end of this one left.
      if (ending === 'cut') putFiles(dir, afterPowerCut(session, random.named(`cut ${number}`)))
    }
    return { sessions, failure: undefined }
  } finally {
    directory.remove()
  }
}

/** Opens what power cuts may have left in these sessions, and judges it. */
export async function checkSessions(
  recording: PowerRecording,
  options: CheckingOptions,
): Promise<PowerReport> {
  const { sessions, failure } = recording
  const began = performance.now()
  const random = new Random(options.seed)
  const coverage = measureStorageCoverage(sessions)
  const plans = sessions.map((session, at) =>
    drawPlan(session, random.named(`states ${at}`), options.lyingDisk),
  )
  const directory = workDirectory()
  const work = directory.path
  try {
    const check = new PowerCheck(options, plans, join(work, 'state'))
    await check.run(random.named('order'), began + options.seconds * 1000)
    const { violations: byKind } = check
    return {
      seed: options.seed,
      sessions: sessions.length,
      ...check.counts(),
      coverage,
      lacking: listMissing(coverage),
      failed_session: failure ?? null,
      wall_seconds: Math.round(performance.now() - began) / 1000,
      violations: Object.values(byKind).reduce((sum, count) => sum + count, 0),
      violations_by_kind: byKind,
      violation_details: check.details,
    }
  } finally {
    directory.remove()
  }
}

/** In memory if the system has a place for that: many files are written, and no disk is needed. */
const workDirectory = (): ScratchDirectory =>
  new ScratchDirectory(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'quorate-power-')

/** Files after a power cut in the last batch, of which half is there, so that the next start drops something. */
function afterPowerCut({ start, events }: RecordedSession, random: Random): Files {
  const disk = new DiskImage(start)
  const states: StateCandidate[] = []
  let hasEnded = false
  for (const event of events) {
    disk.add(event.kind === 'disk' ? event.event : undefined)
    hasEnded ||= event.kind === 'mark' && event.mark.kind === 'ending'
    if (hasEnded) states.push(...statesAt(disk, random, 10))
  }
  const torn = states.filter(({ how }) => /\.log torn/.test(how))
  return filesOfState(disk, random.pick(torn.length > 0 ? torn : states).state)
}
