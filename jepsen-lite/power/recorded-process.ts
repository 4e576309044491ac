// The recorded process: a cluster of three shipped drivers on three LevelDBs. The directory of the first one is
// watched. The cluster is under load, and a script of faults makes its storage do everything that it can do.
//
//   recorded-process.ts '{"dir": …, "others": [DIR, DIR], "marks": FILE, "seed": N, "requests": N, "script": "whole" | "short", "ending": "cut" | "stopped"}'

import { existsSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import type { Command } from '../../src/kv/index.ts'
import { isJoint } from '../../src/raft/index.ts'
import { Random } from '../workload/random.ts'
import { PeerLinks, PeerNode } from './links.ts'
import { MarkWriter, NodeObserver } from './node-observer.ts'
import { closed, readReplicaState } from './replica.ts'

export interface SubjectOptions {
  readonly dir: string
  readonly others: readonly string[]
  readonly marks: string
  readonly seed: number
  /** Requests in each step of the script. */
  readonly requests: number
  /** The whole script, or only a little load after the start. */
  readonly script: 'whole' | 'short'
  readonly ending: 'cut' | 'stopped'
}

/** A step of the script that takes longer has failed. */
const STEP_MS_MAX = 20_000
const KEYS = 48
const CLIENTS = 4
const LONELY_BATCHES = 5
const ATTEMPTS_MAX = 5
/** Few outcomes are remembered, because each is a row that is read in every state. */
const TOKENS = 48
const REQUEST_MS_MAX = 3000

const options: SubjectOptions = JSON.parse(process.argv[2] ?? '{}')
const random = new Random(options.seed)
const links = new PeerLinks()
const watched = new PeerNode(links, 1, options.dir)
const others = options.others.map((dir, at) => new PeerNode(links, at + 2, dir))
const marks = new MarkWriter(options.marks)
const observer = new NodeObserver(marks, watched, () => others)

const rng = (): number => random.next()
let requests = 0

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

async function main(): Promise<void> {
  const isNew = !existsSync(options.dir)
  if (isNew) {
    await watched.format(true)
    marks.add({ kind: 'formatted' })
  }
  const storage = await watched.start()
  marks.add({ kind: 'opened', replica: readReplicaState(storage) })
  observer.watch(storage)
  watched.observer = observer
  links.nodes.push(watched)
  watched.run(rng)
  if (isNew) {
    await request(watched, { kind: 'settings', settings: { idempotencyTokensMax: TOKENS } })
    await load([watched])
    for (const node of others) await node.format(false)
  }
  for (const node of others) {
    links.nodes.push(node)
    await node.start()
    node.run(rng)
  }
  if (isNew) for (const node of others) await join(node)
  await reached('a leader', () => links.leader !== undefined)
  const script = options.script === 'whole' ? [lead, deposed, elected, lagging, interrupted, lead] : []
  for (const step of script) await step()
  if (options.ending === 'cut') await cutUnderLoad()
  else await stopped()
  process.exit(0)
}

// ---------------------------------------------------------------------------------------------------------------------
// The script

/** The watched node leads. */
async function lead(): Promise<void> {
  await reached('the watched node to lead', () => {
    const { leader } = links
    if (leader === watched) return true
    leader?.running.transfer(watched.id, 1000, () => {})
    return false
  })
  await load([watched, ...others])
}

/**
 * It appends entries that no other node receives, batch after batch, while the others continue without it. Then its log
 * is truncated.
 */
async function deposed(): Promise<void> {
  const before = observer.truncations
  // On a busy machine another node may lead before it is cut off.
  for (let attempt = 0; attempt < ATTEMPTS_MAX && observer.truncations === before; attempt++) {
    await lead()
    links.isolate(watched)
    const lonely: Promise<void>[] = []
    for (let batch = 0; batch < LONELY_BATCHES; batch++) {
      const end = watched.open.log.lastIndex()
      lonely.push(request(watched, drawn))
      await reached(
        'a batch of its own',
        () => watched.open.log.lastIndex() !== end || watched.running.status().raft.role !== 'leader',
      )
    }
    await reached('another leader', () => links.leader !== watched)
    await load(others, options.requests / 4)
    links.heal()
    await caughtUp()
    await Promise.all(lonely)
  }
}

/** The others lose their leader, so that it has to vote. Now and then it wins an election itself. */
async function elected(): Promise<void> {
  for (let round = 0; round < 3; round++) {
    const { leader } = links
    if (leader === undefined) continue
    links.isolate(leader)
    await reached('a new leader', () => links.leader !== undefined && links.leader !== leader)
    const rest = [watched, ...others].filter((node) => node !== leader)
    await load(rest, options.requests / 4)
    links.heal()
    await caughtUp()
  }
}

/** A replica is away until the log is compacted beyond its position, so that it needs a snapshot. */
async function lagging(): Promise<void> {
  links.isolate(watched)
  await reached('a leader among the others', () => links.leader !== undefined && links.leader !== watched)
  const { log } = watched.open
  while (others.some(({ open }) => open.log.firstIndex() <= log.lastIndex() + 1)) await load(others)
  links.heal()
  await caughtUp()
  await load([watched, ...others], options.requests / 2)
}

/** A replica lags behind the log and needs a snapshot, of which the first one is interrupted. */
async function interrupted(): Promise<void> {
  links.breakSnapshotAfter = 1
  await lagging()
  links.breakSnapshotAfter = undefined
}

async function join(node: PeerNode): Promise<void> {
  const isVoter = (): boolean =>
    [watched, node].every(
      ({ running: { configuration } }) => configuration.voters.includes(node.id) && !isJoint(configuration),
    )
  await reached(`${node.name} to be a voter`, () => {
    const { leader } = links
    if (isVoter()) return true
    const { members } = watched.running.configuration
    if (!members.some(({ id }) => id === node.id))
      leader?.running.change(
        { kind: 'change', steps: [{ kind: 'add-learner', member: node.member }] },
        1000,
        () => {},
      )
    return false
  })
}

// ---------------------------------------------------------------------------------------------------------------------

/**
 * Some clients, each with one request at a time. They pause now and then; otherwise all would send together and wait
 * together.
 */
async function load(nodes: readonly PeerNode[], count = options.requests): Promise<void> {
  let left = Math.ceil(count)
  const client = async (): Promise<void> => {
    while (left-- > 0) {
      if (random.chance(0.5)) await pause(random.below(3))
      await request(random.pick(nodes), drawn)
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
}

function request(node: PeerNode, change: Command | ((token: string) => Command)): Promise<void> {
  const token = `request-${options.seed}-${++requests}`
  const command = typeof change === 'function' ? change(token) : change
  return new Promise((resolve) => {
    const idempotency = { token, since: undefined }
    node.running.propose({ command, idempotency, principal: '' }, REQUEST_MS_MAX, (result) => {
      if (result.ok && node === watched) observer.answered(token)
      resolve()
    })
  })
}

function drawn(token: string): Command {
  const key = bytes(`key ${random.below(KEYS)}`)
  if (random.below(8) === 0) return { kind: 'delete', key, condition: undefined, prev: false }
  const size = random.below(12) === 0 ? random.below(40_000) : random.below(600)
  const condition = random.below(6) === 0 ? { ifMatch: undefined, ifNoneMatch: 'any' as const } : undefined
  return { kind: 'put', key, value: bytes(token.padEnd(size, token)), condition, prev: false }
}

/** All nodes have applied the same, and know the same leader. */
const caughtUp = (): Promise<void> =>
  reached('all nodes to catch up', () => {
    const applied = links.nodes.map(({ storage }) => storage?.applied.index)
    return links.leader !== undefined && applied.every((index) => index === applied[0])
  })

async function reached(what: string, isReached: () => boolean): Promise<void> {
  const deadline = performance.now() + STEP_MS_MAX
  while (!isReached()) {
    for (const node of links.nodes) void node.running
    if (performance.now() > deadline) throw new Error(`waited too long for ${what}`)
    await pause(2)
  }
}

/** The end comes while a batch is being written. From here on nothing leaves. */
async function cutUnderLoad(): Promise<void> {
  const before = requests
  void load([watched, ...others])
  await reached('half of the load', () => requests - before >= options.requests / 2)
  await new Promise<void>((resolve) =>
    observer.whenWriting(() => {
      marks.add({ kind: 'ending' })
      for (const { running } of links.nodes) running.crash()
      resolve()
    }),
  )
  for (const { open } of links.nodes) await closed(open)
}

async function stopped(): Promise<void> {
  const { running, open } = watched
  await new Promise<void>((resolve) => running.drain(resolve))
  await new Promise<void>((resolve, reject) =>
    running.close((error) => (error === undefined ? resolve() : reject(error))),
  )
  await closed(open)
  marks.add({ kind: 'ending' })
  for (const node of others) {
    node.running.crash()
    await closed(node.open)
  }
}

await main()
