// A replica whose node does not run: what it holds, and a new cluster that is made from it alone.
//
// `inspectReplica` changes nothing. `recoverReplica` counts as a start of the old replica: it notes one more.

import { existsSync, lstatSync, readdirSync, renameSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import {
  hasPassword,
  type RestoreOptions,
  type RestoreResult,
  readPages,
  restoreRows,
} from '../../backup/restore.ts'
import { syncDirectory } from '../../files/durable.ts'
import { BackupRows, backedUpState, decodeState, encodeState, ROOT_KEY } from '../../kv/index.ts'
import {
  asIndex,
  type ChangeStep,
  decodeAppliedState,
  decodeChange,
  ENTRY_CONFIGURATION,
  type Entry,
  frameBody,
  frameKind,
  isVoter,
  type RaftMember,
} from '../../raft/index.ts'
import { discardReplica, inspectDirectory, isInUse, openStorage } from '../../storage/directory.ts'
import { type Storage, StorageRefusedError, type StoredRow } from '../../storage/index.ts'
import { Passwords, passwordFault } from '../auth/passwords.ts'
import { Applier } from '../node/apply/applier.ts'
import { KeyIndex, keyIndexLimits } from '../node/key-index/key-index.ts'
import { NodeStartError } from '../options.ts'
import { inUse, withReplicaCopy } from './replica-copy.ts'

/** Bytes of entries that are read from the log at once. */
const READ_BYTES = 4 * 1024 * 1024
/** An entry with more keys in its ranges is applied in parts. */
const KEYS_AT_ONCE = 1000
/** Heads of keys in memory. Others are read when an entry needs them. */
const ROW_HEADS = 100_000
/** How long a member may take to accept a connection. */
const CONNECT_MS_MAX = 2000

export interface StoppedMember {
  readonly name: string
  readonly replicaId: string
  readonly role: 'voter' | 'learner'
  readonly peer: string
  readonly url: string
}

/** The content of a stopped replica. */
export interface ReplicaSummary {
  readonly dir: string
  readonly name: string
  readonly clusterId: string
  readonly replicaId: string
  readonly term: number
  readonly lastIndex: number
  /** The term of the last entry of its log. */
  readonly lastTerm: number
  /** Up to where it knows that entries were committed. */
  readonly commitIndex: number
  readonly appliedIndex: number
  /** The revision of the applied state. */
  readonly revision: number
  readonly keys: number
  readonly members: readonly StoppedMember[]
}

export async function inspectReplica(dir: string): Promise<ReplicaSummary> {
  return withReplicaCopy(dir, async (storage) => summarizeReplica(dir, storage))
}

export function summarizeReplica(
  dir: string,
  { identity, hardState, applied, log }: Storage,
): ReplicaSummary {
  const { configuration } = decodeAppliedState(applied.raft)
  const state = decodeState(applied.kv)
  const lastIndex = log.lastIndex()
  return {
    dir,
    name: identity.name,
    clusterId: identity.clusterId,
    replicaId: identity.replicaId,
    term: hardState.term,
    lastIndex,
    lastTerm: log.termAt(lastIndex) ?? applied.term,
    commitIndex: hardState.commit,
    appliedIndex: applied.index,
    revision: state.revision,
    keys: state.keys,
    members: configuration.members.map(({ id, name, peer, url }) => ({
      name,
      replicaId: id,
      peer,
      url,
      role: isVoter(configuration, id) ? 'voter' : 'learner',
    })),
  }
}

/**
 * The replica with the most complete log of its cluster: by the rule by which Raft compares logs. It has every change
 * that any of the others has.
 */
export function findBestReplica(replicas: readonly ReplicaSummary[]): ReplicaSummary | undefined {
  const clusters = new Set(replicas.map(({ clusterId }) => clusterId))
  if (clusters.size !== 1) return undefined
  return [...replicas].sort(byLog)[0]
}

const byLog = (a: ReplicaSummary, b: ReplicaSummary): number =>
  b.lastTerm - a.lastTerm || b.lastIndex - a.lastIndex

/** Whether no log of the others is more complete. */
export const hasBestLog = (replica: ReplicaSummary, others: readonly ReplicaSummary[]): boolean =>
  others.every((other) => byLog(replica, other) <= 0)

/** The voters of the cluster that the replica knows, and those among them whose replicas are in `found`. */
export function votersAmong(
  found: readonly Pick<ReplicaSummary, 'clusterId' | 'replicaId'>[],
  { clusterId, members }: ReplicaSummary,
): { readonly count: number; readonly here: readonly string[]; readonly isMajority: boolean } {
  const ids = new Set(found.flatMap((each) => (each.clusterId === clusterId ? [each.replicaId] : [])))
  const voters = members.filter(({ role }) => role === 'voter')
  const here = voters.flatMap(({ name, replicaId }) => (ids.has(replicaId) ? [name] : [])).sort()
  return { count: voters.length, here, isMajority: here.length > voters.length / 2 }
}

/** The replica, if it needs no other to commit. Entries that it has not applied may add voters. */
export async function findOnlyVoter(dir: string): Promise<ReplicaSummary | undefined> {
  return withReplicaCopy(dir, async (storage) => {
    const summary = summarizeReplica(dir, storage)
    const voters = summary.members.filter(({ role }) => role === 'voter')
    const isAlone = voters.length === 1 && voters[0]?.replicaId === summary.replicaId
    return isAlone && changesInLog(storage).next().done === true ? summary : undefined
  })
}

interface RecoveryResult extends RestoreResult {
  readonly name: string
  /** The directory of the old replica. */
  readonly oldDir: string
  /** Members of the old cluster that are not in the new one. */
  readonly others: readonly StoppedMember[]
  /** Revisions that the old replica had. */
  readonly revision: number
  /** Whether this call has only completed one that was interrupted: that one decided everything. */
  readonly isResumed: boolean
}

/** A member of the lost cluster can be reached. */
export class MemberAnswersError extends Error {
  override readonly name = 'MemberAnswersError'
}

/**
 * Makes the replica the only voter of a new cluster, with everything that its log has, committed or not. The new
 * directory is made beside the old one, and takes its place when it is complete. The old one stays under another name.
 * Throws `MemberAnswersError` if another member can be reached.
 */
export async function recoverReplica(path: string, options: RestoreOptions): Promise<RecoveryResult> {
  const dir = resolve(path)
  const made = `${dir}.recovered`
  if (isMissingOrEmpty(dir) && existsSync(made)) return finishSwap(dir, made)
  if (isInUse(dir)) throw inUse(dir)
  refuseUnlessRenamable(dir)
  refuseEmpty(dir)
  refuseForeign(dir)
  // An attempt was interrupted before its directory took the place of the old one.
  if (inspectDirectory(made).kind === 'formatted') {
    if (isInUse(made)) throw inUse(made)
    discardReplica(made)
  }
  const recovered = await withStorage(dir, async (storage) => {
    const before = summarizeReplica(dir, storage)
    const self = before.members.find(({ replicaId }) => replicaId === before.replicaId)
    const others = before.members.filter((member) => member !== self)
    await refuseIfAnswering([...others, ...membersInLog(storage)].filter(({ peer }) => peer !== self?.peer))
    await applyLog(storage)
    const { kv, raft } = storage.applied
    const state = backedUpState(decodeState(kv), true)
    const rows = new BackupRows(true)
    const pages = async function* (): AsyncGenerator<readonly StoredRow[], void, undefined> {
      for await (const page of readPages(storage.scanAll())) yield page.filter((row) => rows.has(row))
    }
    const node = { dir: made, name: before.name, peer: self?.peer ?? '', url: self?.url ?? '' }
    const source = { kv: encodeState(state), raft, root: storage.get(ROOT_KEY), pages }
    const restored = await restoreRows(source, node, options)
    return { ...restored, name: before.name, others, revision: state.revision, isResumed: false }
  })
  const oldDir = `${dir}.before-recovery-${Date.now()}`
  renameSync(dir, oldDir)
  renameSync(made, dir)
  syncDirectory(dirname(dir))
  return { ...recovered, oldDir }
}

/** A service manager or an orchestrator may have made the directory again. A rename replaces an empty one. */
const isMissingOrEmpty = (dir: string): boolean => !existsSync(dir) || readdirSync(dir).length === 0

/** Found out before the data is copied: the copy would otherwise be on another disk. */
function refuseUnlessRenamable(dir: string): void {
  const status = lstatSync(dir, { throwIfNoEntry: false })
  if (status === undefined) return
  if (status.isSymbolicLink())
    throw new StorageRefusedError(`${dir} is a symbolic link. Give the directory that it points to.`)
  if (status.dev !== statSync(dirname(dir)).dev)
    throw new StorageRefusedError(
      `${dir} is a mount point, which cannot be renamed. Move the data into a directory below it, and give that.`,
    )
}

/** The user of the node could not open what root makes, and could have put links where LevelDB writes. */
function refuseForeign(dir: string): void {
  const { uid } = lstatSync(join(dir, 'IDENTITY'))
  if (process.geteuid?.() !== 0 || uid === 0) return
  throw new StorageRefusedError(
    `${dir} belongs to another user (uid ${uid}), who could not open what root makes of it. Run the command as that user, for example with runuser.`,
  )
}

/** An earlier attempt was interrupted between the two renames. */
async function finishSwap(dir: string, made: string): Promise<RecoveryResult> {
  const { clusterId, replicaId, name, state, stateHash, hasRootPassword } = await withStorage(
    made,
    async (storage) => {
      return {
        ...summarizeReplica(made, storage),
        state: decodeState(storage.applied.kv),
        stateHash: storage.stateHash,
        hasRootPassword: hasPassword(storage.get(ROOT_KEY)),
      }
    },
  )
  renameSync(made, dir)
  syncDirectory(dirname(dir))
  // A store with history remembers where the bump began.
  const revision = state.history.skipped.to > 0 ? state.history.skipped.after : state.revision
  const restored = { clusterId, replicaId, state, stateHash, hasRootPassword }
  return { ...restored, name, revision, oldDir: '', others: [], isResumed: true }
}

function refuseEmpty(dir: string): void {
  if (inspectDirectory(dir).kind === 'empty') throw new StorageRefusedError(`${dir} holds no node.`)
}

async function withStorage<T>(dir: string, use: (storage: Storage) => Promise<T>): Promise<T> {
  refuseEmpty(dir)
  const index = KeyIndex.of({ ...keyIndexLimits, rowHeads: ROW_HEADS })
  // Nothing is made of rows that are not those that were written.
  const storage = await openStorage(dir, { index, readsFirst: true })
  try {
    return await use(storage)
  } finally {
    // Rows that were applied in memory are not written.
    await new Promise<void>((done) => storage.close(() => done()))
  }
}

/** Applies every entry of the log to the rows in memory. Nothing is written. */
function applyLog(storage: Storage): Promise<void> {
  const { promise, resolve: done, reject } = Promise.withResolvers<void>()
  const { raft } = storage.applied
  const applier = new Applier(
    storage,
    { coreEntryApplied: () => raft, entryRead: () => run(), failed: reject },
    { entryApplied: () => undefined, leaseChanged: () => {}, authChanged: () => {} },
    KEYS_AT_ONCE,
  )
  for (const entries of entriesAfter(storage)) applier.push(entries)
  const run = (): void => {
    try {
      while (applier.pending) applier.run(() => false)
      if (applier.queued === 0) done()
    } catch (error) {
      reject(error)
    }
  }
  run()
  return promise
}

function* entriesAfter({ applied, log }: Storage): Generator<readonly Entry[], void> {
  const end = asIndex(log.lastIndex() + 1)
  for (let next = asIndex(applied.index + 1); next < end; ) {
    const entries = log.entries(next, end, READ_BYTES)
    yield entries
    next = asIndex(next + entries.length)
  }
}

/** Changes of the configuration that are not applied yet. */
function* changesInLog(storage: Storage): Generator<ChangeStep, void> {
  for (const entries of entriesAfter(storage))
    for (const { frame } of entries) {
      if (frameKind(frame) !== ENTRY_CONFIGURATION) continue
      const change = decodeChange(frameBody(frame))
      if (change.kind === 'change') yield* change.steps
    }
}

/** Members that these changes add. */
function membersInLog(storage: Storage): readonly RaftMember[] {
  const members: RaftMember[] = []
  for (const step of changesInLog(storage)) if ('member' in step) members.push(step.member)
  return members
}

/**
 * A member that accepts a connection may have changes that this replica does not have, and may still serve clients. The
 * kernel accepts connections for a process that is only paused.
 */
async function refuseIfAnswering(
  members: readonly Pick<RaftMember, 'name' | 'peer' | 'url'>[],
): Promise<void> {
  const answers = await Promise.all(
    members.map(async (member) => ({ member, accepted: await acceptingAddress(member) })),
  )
  const alive = answers.find(({ accepted }) => accepted !== undefined)
  if (alive === undefined) return
  throw new MemberAnswersError(
    `${alive.member.name} accepts connections at ${alive.accepted}: the quorum may not be lost. Start the members that are left; if this one is to be given up, end its process first`,
  )
}

async function acceptingAddress({
  peer,
  url,
}: Pick<RaftMember, 'peer' | 'url'>): Promise<string | undefined> {
  const parsed = URL.parse(url)
  const client = parsed && `${parsed.hostname}:${parsed.port || (parsed.protocol === 'https:' ? 443 : 80)}`
  for (const address of [peer, client ?? '']) if (await accepts(address)) return address
  return undefined
}

function accepts(address: string): Promise<boolean> {
  const at = address.lastIndexOf(':')
  if (at <= 0) return Promise.resolve(false)
  const host = address.slice(0, at).replace(/^\[(.*)\]$/, '$1')
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(address.slice(at + 1)) })
    const end = (accepted: boolean): void => {
      socket.destroy()
      resolve(accepted)
    }
    socket.setTimeout(CONNECT_MS_MAX, () => end(false))
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}

/** The hash of the password. Rejects with `NodeStartError` if it is too short or too long. */
export async function hashOfRootPassword(password: string): Promise<string> {
  const fault = passwordFault(password)
  if (fault !== undefined) throw new NodeStartError(fault, { usage: true })
  return new Promise((resolve, reject) => {
    new Passwords().hash(password, '', (error, hash) => (error === undefined ? resolve(hash) : reject(error)))
  })
}
