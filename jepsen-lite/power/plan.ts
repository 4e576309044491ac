// Every cut of one session, the states that each may leave, and what must be found in them.

import { assertNever } from '../../src/raft/index.ts'
import type { Random } from '../workload/random.ts'
import { type DiskEvent, DiskImage, type DiskState, type FileId } from './disk.ts'
import type { RecordedSession } from './record.ts'
import { type Demand, Reference } from './reference.ts'
import { nameOfState, statesAt } from './states.ts'

/** A moment between two changes of the disk: just before the later one, after all marks between the two. */
export interface PowerCut {
  readonly number: number
  /** The last event on the disk. */
  readonly after: string
  readonly demand: Demand
}

export interface PlannedState {
  readonly state: DiskState
  readonly how: string
  /** The cuts that may leave it, by number. */
  readonly cuts: number[]
  /** Right before or after a sync: extreme, or made on purpose. Those come first. */
  isExtremeAtSync: boolean
  isAtSync: boolean
  /** The last cut, while the node runs, at which this state has lost nothing, including the side file. */
  wholeAt: number | undefined
}

export interface Plan {
  readonly disk: DiskImage
  readonly reference: Reference
  readonly cuts: readonly PowerCut[]
  readonly states: readonly PlannedState[]
  /** States right before and after each sync that were not drawn at random. */
  readonly syncs: readonly (readonly PlannedState[])[]
}

/** Random states at each cut, in addition to those that are always tested. */
const DRAWS = 2

/** `isLying`: the disk forgets data that was synced, but not names. */
export function drawPlan(session: RecordedSession, random: Random, isLying: boolean): Plan {
  const { events } = session
  const reference = new Reference(events.flatMap((event) => (event.kind === 'mark' ? [event.mark] : [])))
  const disk = new DiskImage(session.start)
  const states = new Map<string, PlannedState>()
  const cuts: PowerCut[] = []
  const made: PlannedState[][] = []
  const extremes: PlannedState[][] = []
  const syncs: number[] = []
  let marks = 0
  const cut = (after: string): void => {
    const number = cuts.length
    const demand = reference.demandAfter(marks)
    cuts.push({ number, after, demand })
    const here: PlannedState[] = []
    const extremesHere: PlannedState[] = []
    for (const { state, kind, how } of statesAt(disk, random, DRAWS)) {
      const name = nameOfState(state)
      const known = states.get(name) ?? {
        state,
        how,
        cuts: [],
        isExtremeAtSync: false,
        isAtSync: false,
        wholeAt: undefined,
      }
      states.set(name, known)
      if (known.cuts.at(-1) !== number) known.cuts.push(number)
      if (kind === 'whole' && demand.phase === 'running') known.wholeAt = number
      if (kind !== 'lot') here.push(known)
      if (kind === 'extreme' || kind === 'whole') extremesHere.push(known)
    }
    made.push(here)
    extremes.push(extremesHere)
  }
  let after = 'the start'
  for (const event of events) {
    if (event.kind === 'mark') {
      marks++
      disk.add(undefined)
      continue
    }
    cut(after)
    const isSync = event.event.kind.startsWith('sync')
    if (isSync) syncs.push(cuts.length)
    disk.add(
      isLying && event.event.kind === 'sync' ? { ...event.event, kind: 'sync-directory' } : event.event,
    )
    after = described(event.event, disk)
  }
  cut(after)
  const around = (of: PlannedState[][]): PlannedState[][] =>
    syncs.map((number) => [...(of[number - 1] ?? []), ...(of[number] ?? [])])
  for (const state of around(made).flat()) state.isAtSync = true
  for (const state of around(extremes).flat()) state.isExtremeAtSync = true
  return { disk, reference, cuts, states: [...states.values()], syncs: around(made) }
}

function described(event: DiskEvent, disk: DiskImage): string {
  switch (event.kind) {
    case 'mkdir':
      return 'the directory was made'
    case 'sync-parent':
      return 'a sync of the directory above'
    case 'sync-directory':
      return 'a sync of the directory'
    case 'create':
      return `${event.name} was created`
    case 'unlink':
      return `${event.name} was deleted`
    case 'rename':
      return `${event.from} was renamed to ${event.to}`
    case 'write':
      return `a write of ${event.data.length} bytes to ${findFileName(event.file, disk)}`
    case 'truncate':
      return `${findFileName(event.file, disk)} was cut to ${event.length} bytes`
    case 'sync':
      return `a sync of ${findFileName(event.file, disk)}`
    default:
      return assertNever(event)
  }
}

function findFileName(file: FileId, disk: DiskImage): string {
  for (const [name, id] of disk.namesAfter(disk.names)) if (id === file) return name
  return 'a file without a name'
}
