// Changes of the cluster, also during other faults: members are added, removed, or wiped and replaced by fresh
// replicas; leases are switched on and off.

import { setTimeout as sleep } from 'node:timers/promises'
import { allowEnd, type LocalCluster, type TestedNode } from '../cluster.ts'
import { type Nemesis, oneNode } from '../nemesis.ts'
import type { HttpEnd } from '../wires/http/http-client.ts'
import { json } from '../wires/http/key-requests.ts'

/** The time for one change of membership or one question about it, as other faults may be active. */
const CHANGE_LIMIT_MS = 8_000
const AGAIN_MS = 200
/** The time for a node to start, to receive a snapshot and to become a voter, on a busy machine. */
const JOIN_MS = 5_000

const grow: Nemesis = {
  kind: 'member-add',
  says: 'a node joins, becomes a voter, and is removed again',
  groups: ['members'],
  quiet: true,
  async inject({ cluster, round }) {
    const spare = cluster.nodes.find(({ outside }) => outside)
    if (spare === undefined) return 'there is no other node that could join'
    allowEnd(spare)
    spare.stage = round === 0 ? 'new' : 'replacing'
    spare.outside = false
    cluster.start(spare)
    return {
      nodes: [spare.name],
      holdMsMin: JOIN_MS,
      effect: () => (spare.ready ? 'it became a voter' : undefined),
      heal: () => removeMember(cluster, spare),
    }
  },
}

const shrink: Nemesis = {
  kind: 'member-remove',
  says: 'a member is removed, first the leader, sometimes while the member is paused; then it joins again',
  groups: ['members'],
  async inject(world) {
    const { cluster, random, round } = world
    const node = oneNode(world)
    if (node === undefined || cluster.members.length < 3) return 'there are too few members to remove one'
    const others = cluster.running.filter((other) => other !== node)
    const paused = round > 0 && others.length > 0 && random.chance(0.4)
    const forbidEnd = allowEnd(node)
    if (paused) cluster.pause(node)
    const through = random.pick(paused ? others : [...others, node])
    const answer = await cluster.request(
      through,
      'DELETE',
      `/v1/cluster/members/${node.name}`,
      undefined,
      3_000,
    )
    if (paused) cluster.resume(node)
    return {
      nodes: [node.name],
      details: { through: through.name, paused, answer: brief(answer) },
      effect: async () => ((await isOutside(cluster, node)) ? 'it is not a member any more' : undefined),
      async heal() {
        if (await comeBackAnew(cluster, node)) forbidEnd()
      },
    }
  },
}

const wipe: Nemesis = {
  kind: 'wipe',
  says: 'a node loses its data and is replaced by a fresh replica under its name, in one joint change',
  groups: ['members'],
  async inject(world) {
    const { cluster } = world
    const node = oneNode(world)
    if (node === undefined) return 'no node runs'
    if (!cluster.isDispensable(node))
      return 'no majority is ready without the node, so wiping it could lose data'
    const before = await requestReplicaId(cluster, node)
    const forbidEnd = allowEnd(node)
    await cluster.kill(node)
    cluster.wipe(node)
    await sleep(world.random.between(0, 1_500))
    cluster.start(node)
    return {
      nodes: [node.name],
      holdMsMin: JOIN_MS,
      async effect() {
        const now = await requestReplicaId(cluster, node)
        return node.ready && now !== undefined && now !== before
          ? `replica ${now} in place of ${before}`
          : undefined
      },
      heal() {
        forbidEnd()
        cluster.start(node)
      },
    }
  },
}

const leases: Nemesis = {
  kind: 'leases',
  says: 'leader leases switched on, or off if they are on; the setting stays during the next faults',
  groups: ['members'],
  quiet: true,
  async inject({ cluster, conditions }) {
    const on = !conditions.leasesMayBeOn
    if (on && conditions.wrongClocks > 0) return 'a clock is wrong: leases need correct clocks'
    const { leader } = cluster
    if (leader === undefined) return 'there is no leader'
    conditions.leasesMayBeOn = true
    const answer = await cluster.request(leader, 'POST', '/v1/cluster/settings', { leases: { on } }, 2_000)
    if (isOk(answer) && !on) conditions.leasesMayBeOn = false
    return {
      nodes: [],
      details: { on, answer: brief(answer) },
      effect: () => (isOk(answer) ? (on ? 'on' : 'off') : undefined),
      heal() {},
    }
  },
}

/**
 * Completes changes of membership that failed: nodes that should be members join again, and nodes that should be
 * removed are removed. It is called when all other faults are healed. After it, no node may end by itself.
 */
export async function reconcile(cluster: LocalCluster): Promise<void> {
  for (const node of cluster.nodes) {
    const isMember = await membership(cluster, node)
    if (node.outside && isMember === true) await removeMember(cluster, node)
    else if (!node.outside && node.stage === 'member' && isMember === false) await comeBackAnew(cluster, node)
    if (!node.outside) node.endAllowedBy = 0
  }
}

/** After `reconcile`: a message if the members of the cluster are not those that it should have. */
export async function wrongMembers(cluster: LocalCluster): Promise<string | undefined> {
  const expected = joinNames(cluster.members)
  let listed: string | undefined
  const isRight = await persistently(cluster, async () => {
    const names = await memberNames(cluster)
    listed = names?.toSorted().join(' ')
    return listed === expected
  })
  return isRight ? undefined : `the members are ${listed ?? 'unknown'}; they should be ${expected}`
}

const joinNames = (nodes: readonly TestedNode[]): string =>
  nodes
    .map(({ name }) => name)
    .sort()
    .join(' ')

/**
 * Removes the node from the configuration, then kills it and wipes its data. If the first step fails, the node keeps
 * running, and `reconcile` tries again.
 */
async function removeMember(cluster: LocalCluster, node: TestedNode): Promise<void> {
  const isOut = await persistently(cluster, async (through) => {
    await cluster.request(through, 'DELETE', `/v1/cluster/members/${node.name}`, undefined, 2_000)
    return isOutside(cluster, node)
  })
  node.outside = true
  if (!isOut) return
  await cluster.kill(node)
  cluster.wipe(node)
}

/**
 * A removed replica cannot join again, so the node joins with a new directory. Returns false if the node has not been
 * seen as removed in time: then it keeps running, and may still end by itself.
 */
async function comeBackAnew(cluster: LocalCluster, node: TestedNode): Promise<boolean> {
  const isOut = await persistently(cluster, () => isOutside(cluster, node))
  if (isOut) {
    await cluster.kill(node)
    cluster.wipe(node)
  }
  cluster.start(node)
  return isOut
}

/** Whether the node is a member; undefined if no node answered in time. */
async function membership(cluster: LocalCluster, node: TestedNode): Promise<boolean | undefined> {
  let names: string[] | undefined
  await persistently(cluster, async () => {
    names = await memberNames(cluster)
    return names !== undefined
  })
  return names?.includes(node.name)
}

async function isOutside(cluster: LocalCluster, node: TestedNode): Promise<boolean> {
  const names = await memberNames(cluster, node)
  return names !== undefined && !names.includes(node.name)
}

/**
 * Calls `work` again and again, with the leader and other running nodes in turn. Returns false if the time runs out.
 */
async function persistently(
  cluster: LocalCluster,
  work: (node: TestedNode) => Promise<boolean>,
): Promise<boolean> {
  const deadline = performance.now() + CHANGE_LIMIT_MS
  for (let turn = 0; performance.now() < deadline; turn++) {
    const { leader, running } = cluster
    const node = turn % 2 === 0 && leader !== undefined ? leader : running[turn % Math.max(1, running.length)]
    if (node !== undefined && (await work(node))) return true
    await sleep(AGAIN_MS)
  }
  return false
}

/**
 * The members, as the leader of the highest term knows them. `except`, which may have been removed, is not asked:
 * another running node is asked instead.
 */
async function memberNames(cluster: LocalCluster, except?: TestedNode): Promise<string[] | undefined> {
  const { leader } = cluster
  const request =
    leader !== undefined && leader === except ? cluster.running.find((node) => node !== except) : leader
  if (request === undefined) return undefined
  const members = parseMembers(await cluster.request(request, 'GET', '/v1/cluster', undefined, 1_000))
  return members?.map(({ name }) => name)
}

async function requestReplicaId(cluster: LocalCluster, node: TestedNode): Promise<string | undefined> {
  const { leader } = cluster
  if (leader === undefined) return undefined
  const members = parseMembers(await cluster.request(leader, 'GET', '/v1/cluster', undefined, 1_000))
  return members?.find(({ name }) => name === node.name)?.replica_id
}

function parseMembers(end: HttpEnd): { readonly name: string; readonly replica_id: string }[] | undefined {
  if (!isOk(end)) return undefined
  const { members } = json(end)
  if (!Array.isArray(members)) return undefined
  return members.map((member) => ({
    name: String(member?.name),
    replica_id: String(member?.replica_id),
  }))
}

const isOk = (end: HttpEnd): end is Extract<HttpEnd, { kind: 'answer' }> =>
  end.kind === 'answer' && end.status === 200

const brief = (end: HttpEnd): string =>
  end.kind === 'answer' ? `${end.status} ${end.body.slice(0, 200)}` : end.why

export const MEMBER_NEMESES: readonly Nemesis[] = [grow, shrink, wipe, leases]
