// Joining of a new replica to a running cluster, through the HTTP API of the nodes at the given URLs.

import type { ConnectionOptions } from 'node:tls'
import { getSystemErrorMap } from 'node:util'
import { faultText, findHandshakeFault } from '../../certificates/handshake-faults.ts'
import { isObject, tryParseJson } from '../../operations/forms/decode.ts'
import type { ReplicaId } from '../../raft/index.ts'
import { requestHttp } from '../../system/http-request.ts'
import type { Logger } from '../options.ts'
import { NodeStartError } from '../options.ts'

/** Time for a joining node to find a cluster. */
const DISCOVER_TIMEOUT_MS = 30_000
const REQUEST_TIMEOUT_MS = 5_000
const RETRY_MS_MIN = 25
const RETRY_MS_MAX = 250
/** The leader contacts an added replica at once. After this time without contact, the replica logs a warning. */
const CONTACT_TIMEOUT_MS = 5_000
/** Status of `membership_refused`. */
const MEMBERSHIP_REFUSED = 409

interface ClusterDescription {
  readonly clusterId: string
  readonly members: readonly {
    readonly name: string
    readonly replicaId: string
    readonly peer: string
    readonly url: string
  }[]
}

export interface JoiningReplica {
  readonly name: string
  readonly replicaId: ReplicaId
  /** The cluster in its data directory. */
  readonly clusterId: string
  readonly peer: string
  readonly url: string
}

/** The cluster does not accept this replica, and a retry with the same options cannot help. */
export class JoinRefusedError extends NodeStartError {
  constructor(message: string) {
    super(message, { usage: true })
  }
}

/** The URLs to contact, and the cluster to find; without `clusterId` the first one that answers. */
interface JoinTarget {
  readonly urls: readonly string[]
  readonly clusterId?: string | undefined
  readonly authorization?: string | undefined
}

/** How a node that joins shows who it is. */
interface Credentials {
  readonly authorization: string | undefined
  readonly tls: ConnectionOptions | undefined
}

/** Contacts the given nodes one after the other until one names its cluster. Rejects after DISCOVER_TIMEOUT_MS. */
export async function discoverCluster(
  { urls, clusterId, authorization, tls }: JoinTarget & { readonly tls?: ConnectionOptions | undefined },
  logger: Logger,
): Promise<ClusterDescription> {
  const until = performance.now() + DISCOVER_TIMEOUT_MS
  let last = 'no URL was given'
  for (let round = 0; performance.now() < until; round++) {
    for (const url of urls) {
      try {
        const seen = await clusterAt(url, { authorization, tls })
        if (clusterId === undefined || seen.clusterId === clusterId) return seen
        last = `${url} belongs to cluster ${seen.clusterId}, not ${clusterId}`
      } catch (error) {
        if (error instanceof JoinRefusedError) throw error
        last = `${url}: ${errorReason(error)}`
      }
    }
    if (round === 0) logger.warn({ urls }, `cannot reach the cluster yet (${last}); trying again`)
    await pause(retryMs(round))
  }
  throw new NodeStartError(
    `no node of the cluster answered within ${DISCOVER_TIMEOUT_MS / 1000} s; last: ${last}; check --join, and that those nodes run`,
  )
}

/**
 * Adds `joiner` to the cluster. Retries until `isKnown` returns true. Rejects with JoinRefusedError when a retry cannot
 * help.
 */
export async function join(
  joiner: JoiningReplica,
  {
    urls,
    clusterId,
    authorization,
    replace,
    logger,
    isKnown,
    tls = () => undefined,
    found = () => {},
  }: JoinTarget & {
    replace: boolean
    logger: Logger
    isKnown: () => boolean
    /** The certificate of this node, which may be replaced while it tries. */
    tls?: () => ConnectionOptions | undefined
    /** Called with the members each time when a node has named them. */
    found?: (members: ClusterDescription['members']) => void
  },
): Promise<void> {
  const named = clusterId === undefined ? urls : []
  // Its own URL may be among them, and a node cannot add itself.
  const isOther = (url: string): boolean => url !== '' && url !== joiner.url
  // A password goes to no member in the clear.
  const isSecure = urls.every((url) => url.startsWith('https:'))
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
      const credentials = { authorization, tls: tls() }
      const seen = await clusterAt(url, credentials)
      if (seen.clusterId !== joiner.clusterId) throw otherCluster(url, seen, joiner, named)
      found(seen.members)
      // The members of a copied cluster may still have the URLs of the original. With an id only the given URLs count.
      if (clusterId === undefined) {
        const members = seen.members.map((member) => member.url)
        const suitable = members.filter((url) => !isSecure || url.startsWith('https:'))
        known = [...new Set([...urls, ...suitable].filter(isOther))]
      }
      await requestMembership(url, joiner, seen, { replace, credentials })
      addedAt ??= performance.now()
      if (performance.now() - addedAt > CONTACT_TIMEOUT_MS)
        report(url, `it was added, but has received nothing yet: the members dial it at ${joiner.peer}`)
    } catch (error) {
      if (error instanceof JoinRefusedError) throw error
      // An added replica waits for the leader. Other nodes do not have to answer.
      if (addedAt === undefined || performance.now() - addedAt > CONTACT_TIMEOUT_MS)
        report(url, `${errorReason(error)}; trying again`)
    }
    await pause(retryMs(round))
  }
}

async function requestMembership(
  url: string,
  joiner: JoiningReplica,
  seen: ClusterDescription,
  { replace, credentials }: { readonly replace: boolean; readonly credentials: Credentials },
): Promise<void> {
  const { name, replicaId, peer } = joiner
  const namesakeOrSelf = seen.members.find((member) => member.name === name)
  const isMember = namesakeOrSelf?.replicaId === replicaId
  // A member already: the log of this replica will contain it soon.
  if (isMember && namesakeOrSelf.peer === peer && namesakeOrSelf.url === joiner.url) return
  // A member with other addresses is this replica before its restart, where the cluster cannot reach it.
  const namesake = isMember ? undefined : namesakeOrSelf
  const path = namesake !== undefined && replace ? `/${name}/replace` : ''
  const { status, text } = await requestHttp(`${url}/v1/cluster/members${path}`, {
    method: 'POST',
    body: { name, replica_id: replicaId, peer, url: joiner.url },
    timeoutMs: REQUEST_TIMEOUT_MS,
    ...credentials,
  })
  if (status === 200) return
  checkPermitted(url, text)
  // The list that was read before may name members that are gone. A node that refuses has contacted the leader, so its
  // list is current now. The refusal alone proves nothing: its reason may be temporary.
  if (status === MEMBERSHIP_REFUSED && namesake !== undefined && !replace) {
    const { members } = await clusterAt(url, credentials)
    if (members.some((member) => member.replicaId === namesake.replicaId)) throw nameInUse(namesake)
  }
  throw new Error(problemDetail(text) ?? `${url} answered ${status}`)
}

const nameInUse = ({ name, replicaId }: ClusterDescription['members'][number]): Error =>
  new JoinRefusedError(
    `the cluster has a member named ${name} already (replica ${replicaId}); add --replace if the data of that replica is lost, otherwise choose another --name`,
  )

/**
 * The error for a URL of another cluster. A retry cannot help if an operator gave that URL for this cluster. If the URL
 * is known from an earlier member list only, other nodes are contacted.
 */
function otherCluster(
  url: string,
  { clusterId }: ClusterDescription,
  joiner: JoiningReplica,
  named: readonly string[],
): Error {
  const what = `${url} belongs to cluster ${clusterId}, and the data directory of ${joiner.name} to cluster ${joiner.clusterId}`
  if (!named.includes(url)) return new Error(what)
  return new JoinRefusedError(
    `${what}. Give --join nodes of that cluster, or start with an empty --data directory`,
  )
}

async function clusterAt(url: string, credentials: Credentials): Promise<ClusterDescription> {
  const { status, text } = await requestHttp(`${url}/v1/cluster`, {
    timeoutMs: REQUEST_TIMEOUT_MS,
    ...credentials,
  })
  checkPermitted(url, text)
  if (status !== 200) throw new Error(problemDetail(text) ?? `answered ${status}`)
  const body = tryParseJson(text)
  if (!isObject(body) || typeof body.cluster_id !== 'string' || !Array.isArray(body.members)) {
    throw new Error('that is no quorate node')
  }
  const members = body.members.filter(isObject).map((member) => ({
    name: String(member.name),
    replicaId: String(member.replica_id),
    peer: String(member.peer),
    url: String(member.url),
  }))
  return { clusterId: body.cluster_id, members }
}

const UNPERMITTED: ReadonlySet<unknown> = new Set(['unauthenticated', 'permission_denied'])

/** Rights are checked, and every node refuses alike. Throws JoinRefusedError. */
function checkPermitted(url: string, text: string): void {
  const body = tryParseJson(text)
  if (!isObject(body) || !UNPERMITTED.has(body.code)) return
  throw new JoinRefusedError(
    `${url}: ${problemDetail(text)}. Without a certificate for peers, a node joins as a user with the permission admin: --user NAME and KV_PASSWORD, or --token`,
  )
}

function problemDetail(problem: string): string | undefined {
  const body = tryParseJson(problem)
  return isObject(body) && typeof body.detail === 'string' ? body.detail : undefined
}

/** The reason of a system error, such as "connection refused". */
function errorReason(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const report = findHandshakeFault(error)
  if (report !== undefined) return faultText(report)
  const number = 'errno' in error ? error.errno : undefined
  return typeof number === 'number' ? (getSystemErrorMap().get(number)?.[1] ?? error.message) : error.message
}

const retryMs = (round: number): number => Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(round, 10))

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
