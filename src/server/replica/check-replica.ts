// A check of everything in a stopped data directory. Nothing in it is changed.

import { existsSync, lstatSync, readdirSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { isOpenToOthers } from '../../files/private-directory.ts'
import { inspectDirectory } from '../../storage/directory.ts'
import {
  FORMAT_VERSION,
  type Identity,
  type Storage,
  StorageInUseError,
  StorageRefusedError,
} from '../../storage/index.ts'
import { DirectoryDisk } from '../node/directory-disk.ts'
import { driverLimits } from '../node/limits.ts'
import { readIdentityIfFormatted } from './inspect-data-directory.ts'
import { withReplicaCopy } from './replica-copy.ts'
import { type ReplicaSummary, summarizeReplica } from './stopped-replica.ts'

const MIB = 1024 * 1024

export interface ReplicaCheck {
  readonly check: string
  /** `warning`: the node can start. */
  readonly result: 'ok' | 'warning' | 'problem'
  /** The finding, and the next step if it is not well. */
  readonly detail: string
}

interface CheckedReplica {
  readonly checks: readonly ReplicaCheck[]
  /** Undefined if it cannot be read. */
  readonly replica: ReplicaSummary | undefined
}

/** `program`: the name of the command, for advice. */
export async function checkReplica(path: string, program: string): Promise<CheckedReplica> {
  const dir = resolve(path)
  const checks: ReplicaCheck[] = []
  const add = (check: string, result: ReplicaCheck['result'], detail: string): void => {
    checks.push({ check, result, detail })
  }
  const interrupted = existsSync(`${dir}.recovered`)
  const finish = `an interrupted recovery left ${dir}.recovered; finish it with: ${program} recover --data ${path} --yes-lose-data`
  if (!existsSync(dir)) {
    add('directory', 'problem', interrupted ? finish : `${dir} does not exist; check the path`)
    return { checks, replica: undefined }
  }
  // The replica is untouched, and may need no recovery any more.
  const isWhole = readIdentityIfFormatted(dir) !== undefined
  const leftover = isWhole ? `${finish} and the flags of then, or delete that directory` : finish
  add('leftovers', interrupted ? 'warning' : 'ok', interrupted ? leftover : leftovers(dir))
  const identity = checkIdentity(dir, add, program, interrupted ? finish : undefined)
  if (identity === undefined) return { checks, replica: undefined }
  checkPermissions(dir, add)
  checkDisk(dir, add)
  let replica: ReplicaSummary | undefined
  try {
    await withReplicaCopy(dir, async (storage) => {
      replica = summarizeReplica(path, storage)
      add('lock', 'ok', 'no process has it open')
      add('files', 'ok', 'all checksums hold')
      add('log', 'ok', logText(storage, replica))
      add('rows', 'ok', rowsText(storage, replica))
      checkMembers(replica, add)
    })
  } catch (error) {
    if (error instanceof StorageInUseError)
      add('lock', 'problem', `a node runs on it; stop it first, or ask it with: ${program} status --all`)
    else if (error instanceof StorageRefusedError) {
      add('lock', 'ok', 'no process has it open')
      add('files', 'problem', error.message)
    } else throw error
  }
  return { checks, replica }
}

type Add = (check: string, result: ReplicaCheck['result'], detail: string) => void

/** Directories that a recovery or a rejoin has kept. */
function leftovers(dir: string): string {
  const name = `${basename(dir)}.`
  const kept = readdirSync(dirname(dir)).filter(
    (each) => each.startsWith(name) && /^(before-recovery|old)-[0-9]+$/.test(each.slice(name.length)),
  )
  return kept.length === 0
    ? 'none'
    : `older data is kept in ${kept.join(', ')}; delete it when nobody needs it`
}

/** `unfinished`: how to finish an interrupted recovery, whose data belongs into an empty directory. */
function checkIdentity(
  dir: string,
  add: Add,
  program: string,
  unfinished: string | undefined,
): Identity | undefined {
  try {
    const content = inspectDirectory(dir)
    if (content.kind === 'empty') {
      const begun = readdirSync(dir).includes('FORMATTING')
      add(
        'identity',
        'problem',
        begun
          ? 'a start, join or restore was interrupted before the node was complete; repeat the same command'
          : (unfinished ??
              `it is empty; make a node with: ${program} node start --bootstrap or --join URL, or with: ${program} restore`),
      )
      return undefined
    }
    const { identity } = content
    const { name, clusterId, replicaId } = identity
    add(
      'identity',
      'ok',
      `node ${name}, replica ${replicaId} of cluster ${clusterId}, format ${FORMAT_VERSION}`,
    )
    return identity
  } catch (error) {
    if (!(error instanceof StorageRefusedError)) throw error
    add('identity', 'problem', error.message)
    return undefined
  }
}

function checkPermissions(dir: string, add: Add): void {
  // The directory itself may be the root of a volume, which belongs to root, like lost+found in it.
  const owner = join(dir, 'IDENTITY')
  const { uid } = statSync(owner)
  const foreign = readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isFile() && lstatSync(join(dir, entry.name)).uid !== uid)
    .map(({ name }) => name)
  if (foreign.length > 0)
    add(
      'permissions',
      'problem',
      `${foreign.slice(0, 3).join(', ')} ${foreign.length === 1 ? 'belongs' : 'belong'} to another user than IDENTITY; correct it with: chown -R --reference=${owner} ${dir}`,
    )
  else if (isOpenToOthers(dir))
    add('permissions', 'warning', `every user of this machine can read it; correct it with: chmod 700 ${dir}`)
  else add('permissions', 'ok', 'other users cannot read it')
}

function checkDisk(dir: string, add: Add): void {
  const free = new DirectoryDisk(dir).freeBytes()
  const { diskReserveBytes } = driverLimits
  const room = Number.isFinite(free) ? `${Math.floor(free / MIB)} MiB free` : 'the free space is unknown'
  if (free >= diskReserveBytes) add('disk', 'ok', room)
  else
    add(
      'disk',
      'problem',
      `${room}: the node refuses changes below ${diskReserveBytes / MIB} MiB; free space on its file system`,
    )
}

/** The start of the storage has checked that indexes follow each other, and terms, and the stored state. */
function logText({ log }: Storage, { term, commitIndex, appliedIndex }: ReplicaSummary): string {
  const [first, last] = [log.firstIndex(), log.lastIndex()]
  const entries = last < first ? 'no entries' : `entries ${first} to ${last}`
  return `${entries}, term ${term}, committed ${commitIndex}, applied ${appliedIndex}`
}

/** The start of the copy has read all rows, and their sum was the state hash. */
function rowsText({ stateHash }: Storage, { revision, keys }: ReplicaSummary): string {
  const hash = stateHash.toString(16).padStart(16, '0')
  return `${keys === 1 ? '1 key' : `${keys} keys`} at revision ${revision}, state hash ${hash}`
}

function checkMembers({ members, replicaId, name }: ReplicaSummary, add: Add): void {
  const list = members.map((member) => `${member.name} (${member.role})`).join(', ')
  if (members.some((member) => member.replicaId === replicaId)) add('members', 'ok', list)
  else if (members.length === 0)
    add('members', 'warning', `${name} has joined no cluster yet; start it with --join URL`)
  else
    add(
      'members',
      'warning',
      `${name} is no member in the configuration that it knows (${list}): it was removed, or has not caught up; to use it again, move the directory aside and start the node with --join URL`,
    )
}
