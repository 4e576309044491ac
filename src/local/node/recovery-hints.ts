// Problems of nodes and of their directories, each with the command that solves it. The identity of a replica says
// whether its directory belongs to the cluster. Nothing here changes a directory.

import { existsSync, readdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { shellWord } from '../../bytes/shell-word.ts'
import { OTHER_VERSION } from '../../bytes/unknown-kind.ts'
import { WAS_REMOVED } from '../../server/node/membership/members.ts'
import {
  holdsNode,
  readClusterId,
  readIdentityIfFormatted,
  readQuarantine,
} from '../../server/replica/inspect-data-directory.ts'
import type { ReplicaSummary } from '../../server/replica/stopped-replica.ts'
import { CLUSTER_FILE, DEFAULT_DATA } from '../directory/cluster-file.ts'
import { PROGRAM } from '../program-name.ts'
import type { SupervisedNode } from './supervised-node.ts'

/** The flag of commands for the cluster in this directory; empty if they need none. */
export const dataFlag = (directory: string): string =>
  resolve(directory) === resolve(DEFAULT_DATA) ? '' : ` --data ${shellWord(directory)}`

/** Adds to `problem` the command that makes the node a fresh replica. */
export function withRecoveryHint(problem: string, { name, dataDir, stage }: SupervisedNode): string {
  const cluster = dirname(dataDir)
  const rejoin = `${PROGRAM} cluster rejoin ${name}${dataFlag(cluster)}`
  if (stage === 'member' && !holdsNode(dataDir))
    return `${name} has lost its data: ${dataDir} holds no replica; make it a fresh replica with ${rejoin}`
  if (problem.includes(WAS_REMOVED))
    return `${name} ${WAS_REMOVED}; ${rejoin} brings it back as a new replica`
  if (problem.includes(OTHER_VERSION)) return problem
  return `${problem}; if the data of ${name} is damaged or lost: ${rejoin}`
}

export const readyOnlyWithQuorum = ({ name, pid }: SupervisedNode): string =>
  `${name} runs (process ${pid}), but becomes ready only when a majority of the voters runs`

const isClusterDirectory = (dir: string): boolean => existsSync(join(dir, CLUSTER_FILE))

/** The command that starts the nodes on these directories, if they are those of one local cluster. */
export function startCommandFor(dirs: readonly string[]): string | undefined {
  const clusters = new Set(dirs.map((dir) => dirname(resolve(dir))))
  const [cluster = ''] = clusters
  return clusters.size === 1 && isClusterDirectory(cluster)
    ? `${PROGRAM} cluster start${dataFlag(cluster)}`
    : undefined
}

/** The replicas beside this one in a local cluster, itself included, which their nodes would start. */
export function replicasBeside(
  dir: string,
): readonly Pick<ReplicaSummary, 'clusterId' | 'replicaId' | 'dir'>[] {
  const cluster = dirname(resolve(dir))
  if (!isClusterDirectory(cluster)) return []
  return listNodeNames(cluster).flatMap((name) => {
    const path = join(cluster, name)
    const identity = readIdentityIfFormatted(path)
    return identity === undefined || readQuarantine(path) !== undefined ? [] : [{ ...identity, dir: path }]
  })
}

const listNodeNames = (cluster: string): string[] =>
  readdirSync(cluster)
    .filter((name) => /^n[1-9][0-9]*$/.test(name))
    .sort()

/**
 * Says which nodes are of another cluster than the rest, as after a recovery of one of them, and how to continue with
 * either side. undefined: all are of the same cluster. `clusterId`: the one in cluster.json.
 */
export function foreignNodes(
  cluster: string,
  names: readonly string[],
  clusterId: string | null,
): string | undefined {
  const found = names.flatMap((name) => {
    const id = readClusterId(join(cluster, name))
    return id === undefined ? [] : [{ name, id }]
  })
  const known = found.find(({ id }) => id === clusterId) ?? found.at(-1)
  const [own, foreign] = [
    found.filter(({ id }) => id === known?.id),
    found.filter(({ id }) => id !== known?.id),
  ]
  const [first] = foreign
  if (known === undefined || first === undefined) return undefined
  const isRecovered = readdirSync(cluster).some((name) => name.startsWith(`${first.name}.before-recovery-`))
  const one = foreign.filter(({ id }) => id === first.id).map(({ name }) => name)
  const rest = found.flatMap(({ name }) => (one.includes(name) ? [] : [name]))
  const flag = dataFlag(cluster)
  const command = (words: string): string => `${PROGRAM} cluster ${words}${flag}`
  return (
    `${listed(one)} ${one.length === 1 ? 'is' : 'are'} of another cluster (${first.id}${isRecovered ? ', recovered' : ''}) ` +
    `than ${listed(own.map(({ name }) => name))} (${known.id}); to keep ${listed(rest)}: ${command('stop')}, ` +
    `rename the directory of ${listed(one)}, ${command('start')}, then ${command(`rejoin ${one[0]}`)}; ` +
    `to keep ${listed(one)}: the same with ${listed(rest)}`
  )
}

/** "n1, n2 and n3". */
export function listed(names: readonly string[]): string {
  const last = names.at(-1) ?? ''
  return names.length < 2 ? last : `${names.slice(0, -1).join(', ')} and ${last}`
}

/** Says that the directory is that of a local cluster, and names `command` for its nodes. undefined: it is none. */
export function clusterDirectoryAdvice(dir: string, command: string): string | undefined {
  const [name] = isClusterDirectory(dir) ? listNodeNames(dir) : []
  return name === undefined
    ? undefined
    : `this is the directory of a local cluster; check its nodes: ${PROGRAM} ${command} ${shellWord(join(dir, name))}`
}
