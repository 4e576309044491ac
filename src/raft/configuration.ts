// The members of the cluster, and how they change. Pure rules on plain data: the result of a change, or the reason why
// it is not allowed. `membership.ts` decides whether a change may begin *now*.
//
// Voters change in one way only: into a joint configuration, in which both the old and the new majority must agree
// (paper §6), and out of it again. Changes of learners and addresses take effect at once, because they affect no
// majority.

import { assertNever, Reader, UnknownKindError, Writer } from '../bytes/index.ts'
import {
  type AppliedRaftState,
  asReplicaId,
  type ChangeStep,
  type Configuration,
  type ConfigurationChange,
  type LeaderLeaseSetting,
  type RaftMember,
  type ReplicaId,
} from './types.ts'

/** Limit on the removed ids in a configuration. */
const REMOVED_MAX = 128

export type ChangeResult =
  | { readonly ok: true; readonly configuration: Configuration }
  /** `detail` is a sentence for the operator. */
  | { readonly ok: false; readonly detail: string }

/** The configuration of a joining replica until the leader sends it the state: no members. */
export const emptyConfiguration: Configuration = {
  voters: [],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  demoted: [],
  members: [],
  removed: [],
}

/** A new cluster has one voter (RAFT-19). */
export function bootstrapConfiguration(member: RaftMember): Configuration {
  return { ...emptyConfiguration, voters: [member.id], members: [member] }
}

export const isJoint = (configuration: Configuration): boolean => configuration.votersOutgoing.length > 0

/** Whether the replica counts in elections and for commitment, as a voter of either half. */
export const isVoter = (configuration: Configuration, id: ReplicaId): boolean =>
  configuration.voters.includes(id) || configuration.votersOutgoing.includes(id)

export const isMember = (configuration: Configuration, id: ReplicaId): boolean =>
  configuration.members.some((member) => member.id === id)

export function sameConfiguration(a: Configuration, b: Configuration): boolean {
  return (
    sameIds(a.voters, b.voters) &&
    sameIds(a.votersOutgoing, b.votersOutgoing) &&
    sameIds(a.learners, b.learners) &&
    sameIds(a.learnersNext, b.learnersNext) &&
    sameIds(a.demoted, b.demoted) &&
    sameIds(a.removed, b.removed) &&
    a.members.length === b.members.length &&
    a.members.every((member, at) => sameMember(member, b.members[at]))
  )
}

export function applyChange(configuration: Configuration, change: ConfigurationChange): ChangeResult {
  switch (change.kind) {
    case 'leave-joint':
      return leaveJoint(configuration)
    case 'change':
      return applySteps(configuration, change.steps)
    default:
      return assertNever(change)
  }
}

/** The configuration after its joint phase; the same configuration when it is not joint. */
export function finalConfiguration(configuration: Configuration): Configuration {
  const left = leaveJoint(configuration)
  return left.ok ? left.configuration : configuration
}

function leaveJoint(configuration: Configuration): ChangeResult {
  if (!isJoint(configuration)) return invalid('the cluster is not in the middle of a change of voters')
  const { voters, votersOutgoing, learners, learnersNext, removed } = configuration
  const stays = new Set([...voters, ...learners, ...learnersNext])
  return {
    ok: true,
    configuration: {
      ...configuration,
      votersOutgoing: [],
      learners: sorted([...learners, ...learnersNext]),
      learnersNext: [],
      members: configuration.members.filter(({ id }) => stays.has(id)),
      removed: limitRemoved([...removed, ...votersOutgoing.filter((id) => !stays.has(id))]),
    },
  }
}

function applySteps(before: Configuration, steps: readonly ChangeStep[]): ChangeResult {
  if (isJoint(before)) return invalid('the previous change of voters is not finished yet')
  if (steps.length === 0) return invalid('the change has no steps')
  const draft = {
    voters: new Set(before.voters),
    learners: new Set(before.learners),
    demoted: new Set(before.demoted),
    members: new Map(before.members.map((member) => [member.id, member])),
    removed: [...before.removed],
  }
  const touched = new Set<ReplicaId>()
  for (const step of steps) {
    const id = step.kind === 'add-learner' || step.kind === 'update' ? step.member.id : step.id
    if (touched.has(id)) return invalid(`replica ${id} is named twice in one change`)
    touched.add(id)
    const problem = applyStep(draft, step)
    if (problem !== undefined) return invalid(problem)
  }
  if (draft.voters.size === 0) return invalid('the change would leave no voters')
  const double = sharedName([...draft.members.values()])
  if (double !== undefined) return invalid(`the name ${double} is taken by another member`)

  const voters = sorted(draft.voters)
  const stays = new Set([...draft.voters, ...draft.learners])
  if (sameIds(voters, before.voters)) {
    const learners = sorted(draft.learners)
    const members = sortedMembers(draft.members.values())
    const demoted = sorted(draft.demoted)
    const removed = limitRemoved(draft.removed)
    return {
      ok: true,
      configuration: { voters, votersOutgoing: [], learners, learnersNext: [], demoted, members, removed },
    }
  }
  // Voters of the old half stay members, with their address, until the joint configuration is left (paper §6).
  const outgoing = new Set(before.voters)
  const leaving = before.members.filter(({ id }) => outgoing.has(id) && !stays.has(id))
  return {
    ok: true,
    configuration: {
      voters,
      votersOutgoing: before.voters,
      learners: sorted([...draft.learners].filter((id) => !outgoing.has(id))),
      learnersNext: sorted([...draft.learners].filter((id) => outgoing.has(id))),
      demoted: sorted(draft.demoted),
      members: sortedMembers([...draft.members.values(), ...leaving]),
      removed: limitRemoved(draft.removed.filter((id) => !outgoing.has(id))),
    },
  }
}

interface Draft {
  readonly voters: Set<ReplicaId>
  readonly learners: Set<ReplicaId>
  readonly demoted: Set<ReplicaId>
  readonly members: Map<ReplicaId, RaftMember>
  readonly removed: ReplicaId[]
}

/** Applies one step to the draft. Returns the reason if the step is not allowed. */
function applyStep(
  { voters, learners, demoted, members, removed }: Draft,
  step: ChangeStep,
): string | undefined {
  switch (step.kind) {
    case 'add-learner': {
      const { id, name } = step.member
      if (members.has(id)) return `replica ${id} is a member already`
      if (removed.includes(id))
        return `replica ${id} was removed; a removed replica cannot come back: start a new one, with an empty data directory`
      if (!/^[a-z0-9-]{1,63}$/.test(name))
        return `not a name: ${JSON.stringify(name)} (1 to 63 of a-z, 0-9 and -)`
      learners.add(id)
      members.set(id, step.member)
      return undefined
    }
    case 'promote':
      if (voters.has(step.id)) return `replica ${step.id} is a voter already`
      if (!learners.delete(step.id)) return `replica ${step.id} is no member`
      demoted.delete(step.id)
      voters.add(step.id)
      return undefined
    case 'demote':
      if (learners.has(step.id)) return `replica ${step.id} is a learner already`
      if (!voters.delete(step.id)) return `replica ${step.id} is no member`
      learners.add(step.id)
      demoted.add(step.id)
      return undefined
    case 'remove':
      if (!members.delete(step.id)) return `replica ${step.id} is no member`
      voters.delete(step.id)
      learners.delete(step.id)
      demoted.delete(step.id)
      removed.push(step.id)
      return undefined
    case 'update': {
      const { id, name } = step.member
      if (!members.has(id)) return `replica ${id} is no member`
      if (!/^[a-z0-9-]{1,63}$/.test(name))
        return `not a name: ${JSON.stringify(name)} (1 to 63 of a-z, 0-9 and -)`
      members.set(id, step.member)
      return undefined
    }
    default:
      return assertNever(step)
  }
}

const invalid = (detail: string): ChangeResult => ({ ok: false, detail })

function sharedName(members: readonly RaftMember[]): string | undefined {
  const seen = new Set<string>()
  return members.find(({ name }) => seen.size === seen.add(name).size)?.name
}

const limitRemoved = (removed: readonly ReplicaId[]): readonly ReplicaId[] => removed.slice(-REMOVED_MAX)

const sameIds = (a: readonly ReplicaId[], b: readonly ReplicaId[]): boolean =>
  a.length === b.length && a.every((id, at) => id === b[at])

const sameMember = (a: RaftMember, b: RaftMember | undefined): boolean =>
  a.id === b?.id && a.name === b.name && a.peer === b.peer && a.url === b.url

/** Numeric order of ids. They are decimal numbers without leading zeros, so a shorter id is smaller. */
export const compareIds = (a: ReplicaId, b: ReplicaId): number =>
  a.length - b.length || (a < b ? -1 : a > b ? 1 : 0)

const sorted = (ids: Iterable<ReplicaId>): readonly ReplicaId[] => [...ids].sort(compareIds)

const sortedMembers = (members: Iterable<RaftMember>): readonly RaftMember[] =>
  [...members].sort((a, b) => compareIds(a.id, b.id))

// ---------------------------------------------------------------------------------------------------------------------
// Bytes. Each record begins with a version. The frame or row that contains it adds the checksum.
//
//   change          version 1, kind (0 change, 1 leave-joint), steps: count, then kind and member or id of each
//   leader leases   version 1, on (0, 1), durationMs
//   applied state   version 1, voters, votersOutgoing, learners, learnersNext, demoted, removed (ids each), members, leader leases: on, durationMs
//
// Integers are big-endian: counts 16 bits, kinds and flags 8, ids 64, durations 32. A member is id, name, peer, url. A
// text is its length in UTF-16 code units (16 bits), then the code units.

const VERSION = 1
const STEP_KINDS = ['add-learner', 'promote', 'demote', 'remove', 'update'] as const

export function encodeChange(change: ConfigurationChange): Uint8Array {
  const out = new Writer()
  out.uint8(VERSION)
  if (change.kind === 'leave-joint') return out.uint8(1).written()
  out.uint8(0).uint16(change.steps.length)
  for (const step of change.steps) {
    out.uint8(STEP_KINDS.indexOf(step.kind))
    if (step.kind === 'add-learner' || step.kind === 'update') writeMember(out, step.member)
    else out.bigUint64(BigInt(step.id))
  }
  return out.written()
}

/** Throws a RangeError for bytes that no `encodeChange` writes, and `UnknownKindError` for those of a newer one. */
export function decodeChange(bytes: Uint8Array): ConfigurationChange {
  const from = openRecord(bytes, 'configuration change')
  if (from.uint8() === 1) {
    from.end()
    return { kind: 'leave-joint' }
  }
  const steps = readList(from, (): ChangeStep => {
    const kind = STEP_KINDS[from.uint8()]
    if (kind === undefined) throw new UnknownKindError('a step of a configuration change')
    return kind === 'add-learner' || kind === 'update'
      ? { kind, member: readMember(from) }
      : { kind, id: readId(from) }
  })
  from.end()
  return { kind: 'change', steps }
}

export function encodeLeaderLeases({ on, durationMs }: LeaderLeaseSetting): Uint8Array {
  return new Writer().uint8(VERSION).flag(on).uint32(durationMs).written()
}

export function decodeLeaderLeases(bytes: Uint8Array): LeaderLeaseSetting {
  const from = openRecord(bytes, 'lease setting')
  const setting = { on: from.flag(), durationMs: from.uint32() }
  from.end()
  return setting
}

export function encodeAppliedState({ configuration, leaderLeases }: AppliedRaftState): Uint8Array {
  const { voters, votersOutgoing, learners, learnersNext, demoted, removed, members } = configuration
  const out = new Writer().uint8(VERSION)
  for (const ids of [voters, votersOutgoing, learners, learnersNext, demoted, removed]) {
    out.uint16(ids.length)
    for (const id of ids) out.bigUint64(BigInt(id))
  }
  out.uint16(members.length)
  for (const member of members) writeMember(out, member)
  return out.flag(leaderLeases.on).uint32(leaderLeases.durationMs).written()
}

export function decodeAppliedState(bytes: Uint8Array): AppliedRaftState {
  const from = openRecord(bytes, 'applied state')
  const ids = () => readList(from, readId)
  const [voters, votersOutgoing, learners, learnersNext, demoted, removed] = [
    ids(),
    ids(),
    ids(),
    ids(),
    ids(),
    ids(),
  ]
  const members = readList(from, readMember)
  const leaderLeases = { on: from.flag(), durationMs: from.uint32() }
  from.end()
  return {
    configuration: { voters, votersOutgoing, learners, learnersNext, demoted, members, removed },
    leaderLeases,
  }
}

function openRecord(bytes: Uint8Array, what: string): Reader {
  const from = new Reader(bytes, `a ${what}`, RangeError)
  const version = from.uint8()
  if (version > VERSION) throw new UnknownKindError(`version ${version} of a ${what}`)
  if (version !== VERSION) throw new RangeError(`a ${what} has version ${version}`)
  return from
}

function writeMember(out: Writer, { id, name, peer, url }: RaftMember): void {
  out.bigUint64(BigInt(id)).utf16(name).utf16(peer).utf16(url)
}

const readMember = (from: Reader): RaftMember => ({
  id: readId(from),
  name: from.utf16(),
  peer: from.utf16(),
  url: from.utf16(),
})

const readId = (from: Reader): ReplicaId => asReplicaId(from.bigUint64().toString())

function readList<T>(from: Reader, read: (from: Reader) => T): T[] {
  const list: T[] = []
  for (let left = from.uint16(); left > 0; left--) list.push(read(from))
  return list
}
