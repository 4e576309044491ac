// The process of one node of a local cluster. It obeys its supervisor over IPC, reports how the node sees itself, and
// ends when the channel breaks: no node outlives its supervisor, however the supervisor ended.

import { flushCompileCache } from 'node:module'
import { isDeepStrictEqual } from 'node:util'
import { pino } from 'pino'
import type { KvNode } from '../../server/node/kv-node.ts'
import { lowerJitThreshold } from '../../server/process/jit-threshold.ts'
import { logDestination } from '../../server/process/log-destination.ts'
import { keepHeapSmall } from '../../server/process/small-heap.ts'
import { holdsNode } from '../../server/replica/inspect-data-directory.ts'
import type { ServingNode } from '../../server/start/start-node.ts'
import { StorageInUseError, startNode } from '../../server/start/start-node.ts'
import type { StartOptions } from '../../server/start/start-options.ts'
import { ORPHAN_EXIT_TIMEOUT_MS } from '../addresses.ts'
import { poll } from '../poll.ts'
import type { FromNode, NodeStartOrder, PeerAddresses, ToNode } from './node-messages.ts'
import { type NodeView, nodeReport, nodeView } from './node-view.ts'

keepHeapSmall()
lowerJitThreshold()

/** Interval at which the view of the node is compared with the last one that was sent. */
const VIEW_INTERVAL_MS = 25
/** Interval between two attempts to start while an earlier process of this node holds its directory or port. */
const RETRY_INTERVAL_MS = 20

let peers: PeerAddresses = {}
let running: ServingNode | undefined

// SIGKILL, because nothing can delay it. A node may end at any instant without losing anything.
const killSelf = (): boolean => process.kill(process.pid, 'SIGKILL')
process.on('disconnect', killSelf)
// The supervisor may have died while this module was loading.
if (!process.connected) killSelf()
// Ctrl-C and a closed terminal reach every process of the foreground group. The supervisor decides what to do.
process.on('SIGINT', () => {})
process.on('SIGHUP', () => {})
// Without a handler it would end the process.
process.on('SIGUSR2', () => {})
process.on('SIGTERM', () => stop(true))
process.on('message', (message: ToNode) => {
  switch (message.kind) {
    case 'start':
      // The next supervisor may already work on this directory: an orphan must not touch it.
      if (process.ppid === message.supervisor) void start(message.order)
      else killSelf()
      break
    case 'peers':
      peers = message.peers
      break
    case 'report':
      send({ kind: 'report', report: running && nodeReport(running.api) })
      break
    case 'stop':
      stop(message.transferLeadership)
      break
  }
})

async function start(order: NodeStartOrder): Promise<void> {
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
    exit({ kind: 'failed', reason: error instanceof Error ? error.message : String(error) })
    return
  }
  const { api, peer } = running
  send({ kind: 'started', peer, clusterId: api.clusterId })
  sendViews(api)
  flushCompileCache()
  exit(await running.ended)
}

/** The node process of a killed supervisor may still be ending, with the directory open and the ports bound. */
async function startAfterPredecessor(options: StartOptions): Promise<ServingNode> {
  let { founding } = options
  let lastError: unknown
  const attempt = async (): Promise<ServingNode | undefined> => {
    try {
      return await startNode({ ...options, founding })
    } catch (error) {
      if (!isHeldByOther(error)) throw error
      lastError = error
      // The last attempt has founded the cluster.
      if (founding.kind === 'bootstrap' && holdsNode(options.dataDir)) founding = { kind: 'existing' }
      return undefined
    }
  }
  const node = await poll(attempt, { timeoutMs: ORPHAN_EXIT_TIMEOUT_MS, intervalMs: RETRY_INTERVAL_MS })
  if (node === undefined) throw lastError
  return node
}

function isHeldByOther(error: unknown): boolean {
  return (
    error instanceof StorageInUseError ||
    (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')
  )
}

function stop(transferLeadership: boolean): void {
  // A node that has not started has nothing to transfer or to close.
  if (running === undefined) process.exit(0)
  void (transferLeadership ? running.stop() : running.crash())
}

function exit(end: Extract<FromNode, { kind: 'ended' }>['end']): void {
  process.exitCode = end.kind === 'failed' ? 1 : 0
  if (process.connected) process.send?.({ kind: 'ended', end } satisfies FromNode, () => process.exit())
  else process.exit()
}

function sendViews(api: KvNode): void {
  let sent: NodeView | undefined
  const sendIfChanged = (): void => {
    const view = nodeView(api)
    if (isDeepStrictEqual(view, sent)) return
    sent = view
    send({ kind: 'view', view })
  }
  sendIfChanged()
  setInterval(sendIfChanged, VIEW_INTERVAL_MS)
}

function send(message: FromNode): void {
  if (process.connected) process.send?.(message)
}
