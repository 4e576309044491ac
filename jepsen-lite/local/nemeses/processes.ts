// Processes that die, are stopped by a signal, or come and go: kill -9 and SIGSTOP of one node, a majority, all;
// restart storms; orderly restarts; and leadership that is handed on again and again.

import { setTimeout as sleep } from 'node:timers/promises'
import { exists } from '../../../src/local/processes.ts'
import type { TestedNode } from '../cluster.ts'
import { type Fault, majority, type Nemesis, oneNode, type World } from '../nemesis.ts'

const SIGNAL_MS = 30

type Choose = (world: World) => readonly TestedNode[]

const one: Choose = (world) => [oneNode(world)].filter((node) => node !== undefined)
const all: Choose = ({ cluster }) => cluster.members

const killing = (kind: string, says: string, choose: Choose): Nemesis => ({
  kind,
  says,
  groups: ['kill'],
  async inject(world) {
    const targets = choose(world).filter(({ process }) => process.pid !== undefined)
    if (targets.length === 0) return 'nobody runs who could be killed'
    return killed(world, targets)
  },
})

async function killed({ cluster }: World, targets: readonly TestedNode[]): Promise<Fault> {
  const pids = targets.map(({ process }) => process.pid).filter((pid) => pid !== undefined)
  await Promise.all(targets.map((node) => cluster.kill(node)))
  return {
    nodes: targets.map(({ name }) => name),
    details: { pids },
    effect: () => (pids.some(exists) ? undefined : `dead: ${pids.join(', ')}`),
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
    const targets = choose(world).filter(({ process }) => process.pid !== undefined && !process.paused)
    if (targets.length === 0) return 'nobody runs who could be paused'
    const pids = targets.map(({ process }) => process.pid)
    for (const node of targets) cluster.pause(node)
    // The signal takes a moment; later another fault may kill whom this one has stopped.
    await sleep(SIGNAL_MS)
    const stopped = targets.every(({ process }) => process.paused)
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

/** Shorter and longer than heartbeats and election time-outs, again and again. */
const pauseFlap: Nemesis = {
  kind: 'pause-flap',
  says: 'SIGSTOP and SIGCONT of one node in turns, from shorter than a heartbeat to longer than an election',
  groups: ['pause'],
  missing: () => (process.platform === 'win32' ? 'Windows cannot stop a process by a signal' : undefined),
  async inject(world) {
    const { cluster, random } = world
    const node = oneNode(world)
    if (node === undefined) return 'nobody runs who could be paused'
    let stopped = 0
    const end = repeatedly(async () => {
      if (node.process.pid === undefined) return sleep(100)
      cluster.pause(node)
      await sleep(random.between(20, 1_500))
      if (node.process.paused) stopped++
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

/** Killed again before it has come up properly, perhaps in the middle of its recovery. */
const storm: Nemesis = {
  kind: 'storm',
  says: 'a restart storm: kill -9 and start of one or two nodes in quick turns, also while they start',
  groups: ['kill'],
  async inject(world) {
    const { cluster, random } = world
    const first = oneNode(world)
    if (first === undefined) return 'nobody runs who could be killed'
    const second = random.pick(cluster.members)
    const targets = [...new Set([first, second])]
    let deaths = 0
    const ends = targets.map((node) =>
      repeatedly(async () => {
        const { pid } = node.process
        await cluster.kill(node)
        if (pid !== undefined && !exists(pid)) deaths++
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
    const pid = node?.process.pid
    if (node === undefined || pid === undefined) return 'nobody runs who could be restarted'
    const stopped = cluster.stop(node)
    return {
      nodes: [node.name],
      details: { pid },
      async effect() {
        await stopped
        return exists(pid) ? undefined : `ended: ${pid}`
      },
      heal: () => cluster.start(node),
    }
  },
}

const transfer: Nemesis = {
  kind: 'transfer',
  says: 'leadership handed to random members, again and again',
  groups: ['members'],
  async inject(world) {
    const { cluster, random } = world
    if (cluster.leader === undefined) return 'nobody leads'
    let handed = 0
    const end = repeatedly(async () => {
      const [asked, to] = [random.pick(cluster.members), random.pick(cluster.members)]
      const { leader } = cluster
      const body = random.chance(0.2) ? {} : { to: to.name }
      const answer = await cluster.ask(asked, 'POST', '/v1/cluster/leader', body, 2_000)
      if (answer.kind === 'answer' && answer.status === 200 && cluster.leader !== leader) handed++
      await sleep(random.between(50, 1_000))
    })
    return {
      nodes: [],
      effect: () => (handed > 0 ? `handed over ${handed} times` : undefined),
      heal: end,
    }
  },
}

/** Runs `work` again and again in the background; the function returned ends that after the turn under way. */
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
  killing('kill-one', 'kill -9 of one node, the leader at first', one),
  killing('kill-majority', 'kill -9 of a majority at once', majority),
  killing('kill-all', 'kill -9 of every node at once', all),
  storm,
  restart,
  pausing('pause-one', 'SIGSTOP of one node, the leader at first', one),
  pausing('pause-majority', 'SIGSTOP of a majority', majority),
  pausing('pause-all', 'SIGSTOP of every node', all),
  pauseFlap,
  transfer,
]
