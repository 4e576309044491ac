// The process of one node of a local cluster. It does what its supervisor says over IPC, reports how the node sees
// itself, and ends when the channel breaks: no node outlives its supervisor, whatever ended that.

import { flushCompileCache } from 'node:module'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { pino } from 'pino'
import { holdsNode } from '../server/inspect-data-directory.ts'
import type { NodeApi, ServingNode, StartOptions } from '../server/node/types.ts'
import { StorageInUseError, startNode } from '../server/start-node.ts'
import { compileSoon } from './compile-soon.ts'
import { ORPHANS_LIMIT_MS } from './free-ports.ts'
import { logDestination } from './log-destination.ts'
import type { FromNode, NodeOrder, PeerAddresses, ToNode } from './node-messages.ts'
import { type NodeView, viewOf } from './node-view.ts'
import { keepHeapSmall } from './small-heap.ts'

keepHeapSmall()
compileSoon()

/** How often the node's view is compared with the last one; the supervisor is told only what changed. */
const VIEW_INTERVAL_MS = 25
/** How often a start is tried again while an earlier process of this node is in the way. */
const AGAIN_MS = 20

let peers: PeerAddresses = {}
let running: ServingNode | undefined

// SIGKILL to itself, which nothing can delay. A node may end at any instant without losing anything.
const end = (): boolean => process.kill(process.pid, 'SIGKILL')
process.on('disconnect', end)
// The supervisor may have died while this module was being loaded.
if (!process.connected) end()
// Ctrl-C and a closed terminal reach every process of the foreground group. The supervisor decides what follows.
process.on('SIGINT', () => {})
process.on('SIGHUP', () => {})
// It would end the process at once.
process.on('SIGUSR2', () => {})
process.on('SIGTERM', () => stop(true))
process.on('message', (message: ToNode) => {
  switch (message.kind) {
    case 'start':
      // The next supervisor may already be at work on this directory: an orphan must not touch it.
      if (process.ppid === message.supervisor) void start(message.order)
      else end()
      break
    case 'peers':
      peers = message.peers
      break
    case 'stop':
      stop(message.handOver)
      break
  }
})

async function start(order: NodeOrder): Promise<void> {
  peers = order.peers
  process.title = `quorate node ${order.name}`
  const { peers: _, ...options } = order
  try {
    running = await startAfterPredecessor({
      ...options,
      logger: pino({ base: { node: order.name } }, logDestination(1)),
      resolvePeer: (member) => peers[member.name] ?? member.peer,
    })
  } catch (error) {
    leave({ kind: 'failed', reason: error instanceof Error ? error.message : String(error) })
    return
  }
  const { api, url, peer } = running
  tell({ kind: 'started', url, peer, clusterId: api.clusterId })
  tellViews(api)
  flushCompileCache()
  leave(await running.ended)
}

/** The node process of a killed supervisor may still be ending, with the directory open and the ports taken. */
async function startAfterPredecessor(options: StartOptions): Promise<ServingNode> {
  const deadline = performance.now() + ORPHANS_LIMIT_MS
  let { founding } = options
  for (;;) {
    try {
      return await startNode({ ...options, founding })
    } catch (error) {
      if (!isInTheWay(error) || performance.now() >= deadline) throw error
      // The first attempt has founded it.
      if (founding.kind === 'bootstrap' && holdsNode(options.dataDir)) founding = { kind: 'existing' }
      await sleep(AGAIN_MS)
    }
  }
}

function isInTheWay(error: unknown): boolean {
  return (
    error instanceof StorageInUseError ||
    (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')
  )
}

function stop(handOver: boolean): void {
  // Not started yet: nothing to hand over or to close.
  if (running === undefined) process.exit(0)
  void (handOver ? running.stop() : running.crash())
}

function leave(end: { readonly kind: 'stopped' | 'crashed' | 'failed'; readonly reason: string }): void {
  process.exitCode = end.kind === 'failed' ? 1 : 0
  if (process.connected) process.send?.({ kind: 'ended', end } satisfies FromNode, () => process.exit())
  else process.exit()
}

function tellViews(api: NodeApi): void {
  let told: NodeView | undefined
  const look = (): void => {
    const view = viewOf(api)
    if (isDeepStrictEqual(view, told)) return
    told = view
    tell({ kind: 'view', view })
  }
  look()
  setInterval(look, VIEW_INTERVAL_MS)
}

function tell(message: FromNode): void {
  if (process.connected) process.send?.(message)
}
