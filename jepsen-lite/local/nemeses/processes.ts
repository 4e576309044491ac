// Faults of processes: kill -9 and SIGSTOP of one node, a majority, all; restart storms; orderly restarts; and repeated
// transfers of leadership.

import { setTimeout as sleep } from 'node:timers/promises'
import { processExists } from '../../../src/local/processes.ts'
import type { TestedNode } from '../cluster.ts'
import { type InjectedFault, majority, type Nemesis, type NemesisContext, oneNode } from '../nemesis.ts'

const SIGNAL_MS = 30

type Choose = (world: NemesisContext) => readonly TestedNode[]

const one: Choose = (world) => [oneNode(world)].filter((node) => node !== undefined)
const all: Choose = ({ cluster }) => cluster.members

const killing = (kind: string, says: string, choose: Choose): Nemesis => ({
  kind,
  says,
  groups: ['kill'],
  async inject(world) {
    const targets = choose(world).filter(({ pid }) => pid !== undefined)
    if (targets.length === 0) return 'no node runs'
    return killed(world, targets)
  },
})

async function killed({ cluster }: NemesisContext, targets: readonly TestedNode[]): Promise<InjectedFault> {
  const pids = targets.map(({ pid }) => pid).filter((pid) => pid !== undefined)
  await Promise.all(targets.map((node) => cluster.kill(node)))
  return {
    nodes: targets.map(({ name }) => name),
    details: { pids },
    effect: () => (pids.some(processExists) ? undefined : `dead: ${pids.join(', ')}`),
    heal() {
      for (const node of targets) cluster.start(node)
    },
  }
}

const pausing = (kind: string, says: string, choose: Choose): Nemesis => ({
  kind,
  says,
  groups: ['pause'],
  missing: () => (process.platform === 'win32' ? 'Windows cannot stop a process by a signal' : undefined),
  async inject(world) {
    const { cluster } = world
    const targets = choose(world).filter(({ pid, paused }) => pid !== undefined && !paused)
    if (targets.length === 0) return 'no node runs that is not paused'
    const pids = targets.map(({ pid }) => pid)
    for (const node of targets) cluster.pause(node)
    // The signal takes a moment. The effect is checked now, because another fault may kill these nodes later.
    await sleep(SIGNAL_MS)
    const stopped = targets.every(({ paused }) => paused)
    return {
      nodes: targets.map(({ name }) => name),
      details: { pids },
      effect: () => (stopped ? `stopped: ${pids.join(', ')}` : undefined),
      heal() {
        for (const node of targets) cluster.resume(node)
      },
    }
  },
})

/** Repeated pauses, shorter and longer than heartbeats and election timeouts. */
const pauseFlap: Nemesis = {
  kind: 'pause-flap',
  says: 'repeated SIGSTOP and SIGCONT of one node, from less than a heartbeat to more than an election timeout',
  groups: ['pause'],
  missing: () => (process.platform === 'win32' ? 'Windows cannot stop a process by a signal' : undefined),
  async inject(world) {
    const { cluster, random } = world
    const node = oneNode(world)
    if (node === undefined) return 'no node runs'
    let stopped = 0
    const end = repeatedly(async () => {
      if (node.pid === undefined) return sleep(100)
      cluster.pause(node)
      await sleep(random.between(20, 1_500))
      if (node.paused) stopped++
      cluster.resume(node)
      await sleep(random.between(20, 500))
    })
    return {
      nodes: [node.name],
      effect: () => (stopped > 0 ? `stopped ${stopped} times` : undefined),
      heal: end,
    }
  },
}

/** A node is killed again before it is ready, perhaps during its recovery. */
const storm: Nemesis = {
  kind: 'storm',
  says: 'a restart storm: repeated kill -9 and start of one or two nodes, also while they start',
  groups: ['kill'],
  async inject(world) {
    const { cluster, random } = world
    const first = oneNode(world)
    if (first === undefined) return 'no node runs'
    const second = random.pick(cluster.members)
    const targets = [...new Set([first, second])]
    let deaths = 0
    const ends = targets.map((node) =>
      repeatedly(async () => {
        const { pid } = node
        await cluster.kill(node)
        if (pid !== undefined && !processExists(pid)) deaths++
        await sleep(random.between(0, 100))
        cluster.start(node)
        await sleep(random.between(100, 1_500))
      }),
    )
    return {
      nodes: targets.map(({ name }) => name),
      holdMsMin: 2_000,
      effect: () => (deaths > 1 ? `${deaths} deaths` : undefined),
      async heal() {
        await Promise.all(ends.map((end) => end()))
        for (const node of targets) cluster.start(node)
      },
    }
  },
}

const restart: Nemesis = {
  kind: 'restart',
  says: 'an orderly restart of one node: it hands leadership over, stops, and is started again',
  groups: ['kill'],
  async inject(world) {
    const { cluster } = world
    const node = oneNode(world)
    const pid = node?.pid
    if (node === undefined || pid === undefined) return 'no node runs'
    const stopped = cluster.stop(node)
    return {
      nodes: [node.name],
      details: { pid },
      async effect() {
        await stopped
        return processExists(pid) ? undefined : `ended: ${pid}`
      },
      heal: () => cluster.start(node),
    }
  },
}

const transfer: Nemesis = {
  kind: 'transfer',
  says: 'leadership transferred to random members many times',
  groups: ['members'],
  async inject(world) {
    const { cluster, random } = world
    if (cluster.leader === undefined) return 'there is no leader'
    let handed = 0
    const end = repeatedly(async () => {
      const [contact, to] = [random.pick(cluster.members), random.pick(cluster.members)]
      const { leader } = cluster
      const body = random.chance(0.2) ? {} : { to: to.name }
      const answer = await cluster.request(contact, 'POST', '/v1/cluster/leader', body, 2_000)
      if (answer.kind === 'answer' && answer.status === 200 && cluster.leader !== leader) handed++
      await sleep(random.between(50, 1_000))
    })
    return {
      nodes: [],
      effect: () => (handed > 0 ? `transferred ${handed} times` : undefined),
      heal: end,
    }
  },
}

/** Repeats `work` in the background; the returned function ends that after the current call. */
export function repeatedly(work: () => Promise<unknown>): () => Promise<void> {
  let over = false
  const loop = (async () => {
    while (!over) await work()
  })()
  return () => {
    over = true
    return loop
  }
}

export const PROCESS_NEMESES: readonly Nemesis[] = [
  killing('kill-one', 'kill -9 of one node, first the leader', one),
  killing('kill-majority', 'kill -9 of a majority at once', majority),
  killing('kill-all', 'kill -9 of every node at once', all),
  storm,
  restart,
  pausing('pause-one', 'SIGSTOP of one node, first the leader', one),
  pausing('pause-majority', 'SIGSTOP of a majority', majority),
  pausing('pause-all', 'SIGSTOP of every node', all),
  pauseFlap,
  transfer,
]
