// The states that a power cut may leave at one point of a trace: the extremes, each file and name alone, torn writes,
// and some at random.

import { Random } from '../workload/random.ts'
import type { Content, DiskImage, DiskState, File, FileId, Torn } from './disk.ts'

/** Only the presence of these files matters, not their content: LevelDB's own log, and the file that it locks. */
const IGNORED = /^(LOG|LOG\.old|LOCK)$/

/** All or nothing of what was not synced; something between, made on purpose; something between, at random. */
type Kind = 'whole' | 'extreme' | 'part' | 'lot'

export interface StateCandidate {
  readonly state: DiskState
  readonly kind: Kind
  /** How it comes about, for the report. */
  readonly how: string
}

/** Equal states have equal names. */
export function nameOfState(state: DiskState): string {
  if (state === undefined) return 'gone'
  const parts: string[] = []
  for (const [name, { file, changes, torn }] of state) {
    const part = torn === undefined ? '' : `+${torn.change}[${torn.from},${torn.to})`
    parts.push(IGNORED.test(name) ? name : `${name}=${file}@${changes}${part}`)
  }
  return parts.sort().join(' ')
}

type Choose = (name: string, file: File) => Omit<Content, 'file'>

const lost: Choose = (_name, { durable }) => ({ changes: durable, torn: undefined })
const kept: Choose = (_name, { changes }) => ({ changes: changes.length, torn: undefined })

export function statesAt(disk: DiskImage, random: Random, draws: number): StateCandidate[] {
  const candidates: StateCandidate[] = []
  if (!disk.isBorn)
    candidates.push({ state: undefined, kind: 'extreme', how: 'the directory itself is gone' })
  if (!disk.isThere) return candidates
  const { durableNames, names } = disk
  const allNames = disk.namesAfter(names)
  const add = (kind: Kind, how: string, choose: Choose, among = allNames): void => {
    candidates.push({ state: chosen(disk, among, choose), kind, how })
  }
  add('whole', 'everything is there', kept)
  add('extreme', 'only what was synced is there', lost, disk.namesAfter(durableNames))
  if (durableNames < names) add('part', 'all names, and only synced data', lost)
  for (let count = durableNames; count < names; count++)
    add(
      'part',
      `all data, and the first ${count} of ${names} changes of the directory`,
      kept,
      disk.namesAfter(count),
    )
  const pending = [...allNames].filter(([name, id]) => !IGNORED.test(name) && isPending(disk.file(id)))
  for (const [only, id] of pending) {
    if (pending.length > 1) {
      add('part', `all but the unsynced data of ${only}`, (name, file) =>
        (name === only ? lost : kept)(name, file),
      )
      add('part', `of the unsynced data only that of ${only}`, (name, file) =>
        (name === only ? kept : lost)(name, file),
      )
    }
    for (const torn of tears(disk.file(id))) {
      const how = `${only} torn: bytes ${torn.torn.from} to ${torn.torn.to} of its last write`
      add('part', `everything, ${how}`, (name, file) => (name === only ? torn : kept(name, file)))
      add('part', `only what was synced, ${how}`, (name, file) => (name === only ? torn : lost(name, file)))
    }
  }
  for (let draw = 0; draw < draws && (pending.length > 0 || durableNames < names); draw++) {
    const count = durableNames + random.below(names - durableNames + 1)
    add('lot', 'drawn by lot', (_name, file) => drawn(file, random), disk.namesAfter(count))
  }
  return candidates
}

const isPending = ({ durable, changes }: File): boolean => durable < changes.length

function chosen(disk: DiskImage, names: ReadonlyMap<string, FileId>, choose: Choose): DiskState {
  const state = new Map<string, Content>()
  for (const [name, id] of names) {
    const how = IGNORED.test(name) ? { changes: 0, torn: undefined } : choose(name, disk.file(id))
    state.set(name, { file: id, ...how })
  }
  return state
}

/** The last write, torn near its ends and somewhere in the middle. */
function tears(file: File): { changes: number; torn: Torn }[] {
  const change = file.changes.length - 1
  const last = file.changes[change]
  if (last?.kind !== 'write' || last.data.length < 2) return []
  const { length } = last.data
  // A random place, but always the same one for a write; otherwise each later cut would bring new states.
  const ends = new Set([1, 1 + new Random(`${file.id} ${change}`).below(length - 1), length - 1])
  return [...ends].map((to) => ({ changes: change, torn: { change, from: 0, to } }))
}

function drawn(file: File, random: Random): Omit<Content, 'file'> {
  const { durable, changes } = file
  const left = changes.length - durable
  // Most of the time the disk has nearly everything, because the newest versions are the interesting ones.
  const behind = random.chance(0.5) ? random.below(Math.min(left, 3) + 1) : random.below(left + 1)
  const count = changes.length - behind
  const change = count + (random.chance(0.5) ? 0 : random.below(Math.max(1, behind)))
  const next = changes[change]
  if (next?.kind !== 'write' || random.chance(0.4)) return { changes: count, torn: undefined }
  const skipped = changes.slice(count, change)
  const isOverwrite =
    next.at + next.data.length <= lengthAfter(file, count) && skipped.every(({ kind }) => kind === 'write')
  // Appended bytes survive from the front, and only after all bytes that were appended before.
  if (!isOverwrite && change !== count) return { changes: count, torn: undefined }
  const from = isOverwrite ? random.below(next.data.length) : 0
  const to = from + 1 + random.below(next.data.length - from)
  return { changes: count, torn: { change, from, to } }
}

function lengthAfter({ changes }: File, count: number): number {
  let length = 0
  for (const change of changes.slice(0, count))
    length = change.kind === 'truncate' ? change.length : Math.max(length, change.at + change.data.length)
  return length
}
