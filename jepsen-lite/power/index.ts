// Power loss on the real LevelDB: records what a node does to its directory and what it acknowledges, rebuilds what a power cut at any moment
// could leave, opens that with the shipped code, and compares. README.md in this folder tells how and why.

import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Random } from '../local/random.ts'
import { Check, filesOfState, type Violation } from './check.ts'
import { type Coverage, coverageOf, lackingIn } from './coverage.ts'
import type { Outcome } from './opener.ts'
import { planOf } from './plan.ts'
import { type Files, putFiles, record, type Session } from './record.ts'
import { statesAt } from './states.ts'

export { RecordingError, whyNot } from './record.ts'

export interface PowerOptions {
  readonly seed: number
  /** Distinct states to open at most. */
  readonly states: number
  /** No more are opened after so many seconds. */
  readonly seconds: number
  /** Lives of the recorded process; each ends with the power being cut, or politely. */
  readonly sessions: number
  /** Requests in each step of its load. */
  readonly operations: number
  /** The disk forgets data that was synced: the check must find that out. */
  readonly lyingDisk: boolean
  /** Failing states are kept here. */
  readonly out: string | undefined
  readonly progress: (line: string) => void
}

export interface PowerReport {
  readonly seed: number
  readonly sessions: number
  /** Changes and syncs of the directory. */
  readonly disk_events: number
  readonly syncs: number
  /** Syncs of which every extreme state right before and after was opened. */
  readonly syncs_covered: number
  readonly cuts: number
  /** Different states that the rules of the disk allow, among those that were thought of. */
  readonly states_known: number
  /** Different directories that were opened. */
  readonly states: number
  /** Pairs of a state and a moment at which it may be left, each judged. */
  readonly judged: number
  readonly outcomes: Readonly<Record<Outcome['kind'], number>>
  readonly coverage: Coverage
  /** What the load was to make the storage do, and did not. */
  readonly lacking: readonly string[]
  readonly wall_seconds: number
  readonly violations: number
  readonly violation_details: readonly Violation[]
}

export async function checkPowerLoss(options: PowerOptions): Promise<PowerReport> {
  const began = performance.now()
  const work = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'quorate-power-'))
  try {
    const random = new Random(options.seed)
    const sessions = await recordAll(options, random, work)
    const coverage = coverageOf(sessions)
    const plans = sessions.map((session, at) =>
      planOf(session, random.stream(`states ${at}`), options.lyingDisk),
    )
    const check = new Check(options, plans, join(work, 'state'))
    await check.run(random.stream('order'), began + options.seconds * 1000)
    return {
      ...{ seed: options.seed, sessions: sessions.length },
      ...check.counts(),
      ...{ coverage, lacking: lackingIn(coverage) },
      wall_seconds: Math.round(performance.now() - began) / 1000,
      ...{ violations: check.violations, violation_details: check.details },
    }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

async function recordAll(options: PowerOptions, random: Random, work: string): Promise<Session[]> {
  const [dir, ...others] = ['n1', 'n2', 'n3'].map((name) => join(work, name))
  if (dir === undefined) throw new Error('no directory')
  const sessions: Session[] = []
  for (let number = 1; number <= options.sessions; number++) {
    const ending = number % 2 === 1 ? 'cut' : 'stopped'
    const { operations } = options
    const seed = random.stream(`session ${number}`).below(2 ** 31)
    const session = await record({ dir, others, marks: join(work, 'marks'), seed, operations, ending }, work)
    sessions.push(session)
    options.progress(`recorded life ${number} of ${options.sessions}: ${session.events.length} events`)
    // The next life begins with what a power cut at the end of this one left.
    if (ending === 'cut') putFiles(dir, afterPowerCut(session, random.stream(`cut ${number}`)))
  }
  return sessions
}

function afterPowerCut(session: Session, random: Random): Files {
  const { disk } = planOf({ start: session.start, events: session.events }, random, false)
  return filesOfState(disk, random.pick(statesAt(disk, random, 20)).state)
}
