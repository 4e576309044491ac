// How a new replica joins a running cluster, through the HTTP API of the nodes whose URLs it was given.

import { getSystemErrorMessage } from 'node:util'
import type { ReplicaId } from '../raft/index.ts'
import { askHttp } from './ask-http.ts'
import type { Logger } from './node/types.ts'

/** How long a joining node searches for a cluster before it gives up. */
export const DISCOVER_MS_MAX = 30_000
const REQUEST_MS_MAX = 5_000
const RETRY_MS_MIN = 25
const RETRY_MS_MAX = 250
/**
 * The leader calls an added replica at once. After this long without a call, the replica logs what it is waiting for.
 */
const CALLED_MS = 5_000
/** Status of `membership_refused`. */
const MEMBERSHIP_REFUSED = 409

export interface ClusterSeen {
  readonly clusterId: string
  readonly members: readonly {
    readonly name: string
    readonly replicaId: string
    readonly peer: string
    readonly url: string
  }[]
}

export interface Joiner {
  readonly name: string
  readonly replicaId: ReplicaId
  /** The cluster in its data directory. */
  readonly clusterId: string
  readonly peer: string
  readonly url: string
}

/** The cluster does not accept this replica, and another try cannot help. */
export class JoinRefusedError extends Error {
  override readonly name = 'JoinRefusedError'
}

/** The URLs to ask, and the cluster to find; without `clusterId` it is the first one that answers. */
interface Where {
  readonly urls: readonly string[]
  readonly clusterId?: string | undefined
}

/** Asks the given nodes in turn until one names its cluster. Rejects after DISCOVER_MS_MAX. */
export async function discoverCluster({ urls, clusterId }: Where, logger: Logger): Promise<ClusterSeen> {
  const until = performance.now() + DISCOVER_MS_MAX
  let last = 'no URL was given'
  for (let round = 0; performance.now() < until; round++) {
    for (const url of urls) {
      try {
        const seen = await clusterAt(url)
        if (clusterId === undefined || seen.clusterId === clusterId) return seen
        last = `${url} belongs to cluster ${seen.clusterId}, not ${clusterId}`
      } catch (error) {
        last = `${url}: ${reasonOf(error)}`
      }
    }
    if (round === 0) logger.warn({ urls }, `cannot reach the cluster yet (${last}); trying again`)
    await pause(retryMs(round))
  }
  throw new JoinRefusedError(
    `no node of the cluster answered within ${DISCOVER_MS_MAX / 1000} s; last: ${last}. Check --join, and that those nodes run`,
  )
}

/**
 * Adds `joiner` to the cluster. Tries until it is a member or `stopped`. Rejects with JoinRefusedError when more tries
 * cannot help.
 */
export async function join(
  joiner: Joiner,
  {
    urls,
    clusterId,
    replace,
    logger,
    isKnown,
  }: Where & { replace: boolean; logger: Logger; isKnown: () => boolean },
): Promise<void> {
  const named = clusterId === undefined ? urls : []
  // Its own URL may be among them. The node cannot add itself.
  const isOther = (url: string): boolean => url !== '' && url !== joiner.url
  let known = urls.filter(isOther)
  let reported = ''
  const report = (url: string, reason: string): void => {
    if (reason !== reported) logger.warn({ url }, `not a member yet: ${reason}`)
    reported = reason
  }
  let addedAt: number | undefined
  for (let round = 0; !isKnown(); round++) {
    const url = known[round % known.length]
    if (url === undefined) throw new JoinRefusedError('no URL of another node to join was given')
    try {
      const seen = await clusterAt(url)
      if (seen.clusterId !== joiner.clusterId) throw otherCluster(url, seen, joiner, named)
      // The members of a copied cluster may still have the URLs of the original. With an id only the given URLs count.
      if (clusterId === undefined)
        known = [...new Set([...urls, ...seen.members.map((member) => member.url)].filter(isOther))]
      await ask(url, joiner, seen, replace)
      addedAt ??= performance.now()
      if (performance.now() - addedAt > CALLED_MS)
        report(
          url,
          `it was added, but has not been brought up to date: the members call it at ${joiner.peer}`,
        )
    } catch (error) {
      if (error instanceof JoinRefusedError) throw error
      // A replica that was added waits for the leader's call. Not every node has to answer meanwhile.
      if (addedAt === undefined || performance.now() - addedAt > CALLED_MS)
        report(url, `${reasonOf(error)}; trying again`)
    }
    await pause(retryMs(round))
  }
}

async function ask(url: string, joiner: Joiner, seen: ClusterSeen, replace: boolean): Promise<void> {
  const { name, replicaId, peer } = joiner
  const there = seen.members.find((member) => member.name === name)
  const isMember = there?.replicaId === replicaId
  if (isMember && there.peer === peer && there.url === joiner.url) return // known; the log will say so here soon
  // A member with other addresses is this replica before its restart: the cluster cannot reach it there.
  const namesake = isMember ? undefined : there
  const path = namesake !== undefined && replace ? `/${name}/replace` : ''
  const { status, text } = await askHttp(`${url}/v1/cluster/members${path}`, {
    method: 'POST',
    body: { name, replica_id: replicaId, peer, url: joiner.url },
    timeoutMs: REQUEST_MS_MAX,
  })
  if (status === 200) return
  // The list that was read before may be old and name members that are gone. A node that refuses has asked the leader,
  // so its list is current now. The refusal alone proves nothing: its reason may pass.
  if (status === MEMBERSHIP_REFUSED && namesake !== undefined && !replace) {
    const { members } = await clusterAt(url)
    if (members.some((member) => member.replicaId === namesake.replicaId)) throw nameTaken(namesake)
  }
  throw new Error(detailOf(text) ?? `${url} answered ${status}`)
}

const nameTaken = ({ name, replicaId }: ClusterSeen['members'][number]): Error =>
  new JoinRefusedError(
    `the cluster has a member named ${name} already (replica ${replicaId}). If the data of that replica is lost, add --replace; otherwise choose another --name`,
  )

/**
 * If an operator gave that URL for that cluster, another try cannot help. If the URL is only known from an earlier
 * member list, the other nodes are asked.
 */
function otherCluster(
  url: string,
  { clusterId }: ClusterSeen,
  joiner: Joiner,
  named: readonly string[],
): Error {
  const what = `${url} belongs to cluster ${clusterId}, and the data directory of ${joiner.name} to cluster ${joiner.clusterId}`
  if (!named.includes(url)) return new Error(what)
  return new JoinRefusedError(
    `${what}. Give --join nodes of that cluster, or start with an empty --data directory`,
  )
}

async function clusterAt(url: string): Promise<ClusterSeen> {
  const { status, text } = await askHttp(`${url}/v1/cluster`, { timeoutMs: REQUEST_MS_MAX })
  if (status !== 200) throw new Error(detailOf(text) ?? `answered ${status}`)
  const body = parsed(text)
  if (!isRecord(body) || typeof body.cluster_id !== 'string' || !Array.isArray(body.members)) {
    throw new Error('that is no quorate node')
  }
  const members = body.members.filter(isRecord).map((member) => ({
    name: String(member.name),
    replicaId: String(member.replica_id),
    peer: String(member.peer),
    url: String(member.url),
  }))
  return { clusterId: body.cluster_id, members }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null

function detailOf(problem: string): string | undefined {
  const body = parsed(problem)
  return isRecord(body) && typeof body.detail === 'string' ? body.detail : undefined
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** An error of the system in words: "connection refused". */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const number = 'errno' in error ? error.errno : undefined
  return typeof number === 'number' ? getSystemErrorMessage(number) : error.message
}

const retryMs = (round: number): number => Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(round, 10))

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
