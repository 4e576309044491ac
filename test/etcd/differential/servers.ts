// The two servers of the comparison.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startCluster } from '../../../src/embed/index.ts'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { GrpcClient } from '../../../src/etcd-client/grpc-client.ts'
import { freePorts, localUrl } from '../../../src/local/addresses.ts'
import { poll } from '../../../src/local/poll.ts'
import type { EtcdPrograms } from '../etcd-programs.ts'

export interface RunningServer {
  readonly endpoint: string
  stop(): Promise<void>
}

/** Its memory is no disk: etcd waits for each write. */
const MEMORY = '/dev/shm'

const START_MS_MAX = 60_000

/** Its rights, and passwords that cost as little as it allows. */
const FLAGS = ['--log-level', 'error', '--bcrypt-cost', '4']

/** Ends etcd, and removes its data, when the input of the shell has ended: also when this process was killed. */
const GUARDED = 'directory=$1; shift; "$0" "$@" & cat; kill -9 $! 2>/dev/null; wait $!; rm -rf "$directory"'

/** An etcd with one member and nothing in it. */
export async function startEtcd({ etcd }: EtcdPrograms): Promise<RunningServer> {
  const directory = await mkdtemp(join(existsSync(MEMORY) ? MEMORY : tmpdir(), 'quorate-etcd-'))
  const [port = 0, peerPort = 0] = await freePorts(24_790, 2)
  const [endpoint, peer] = [localUrl(port), localUrl(peerPort)]
  const addresses = {
    'listen-client-urls': endpoint,
    'advertise-client-urls': endpoint,
    'listen-peer-urls': peer,
    'initial-advertise-peer-urls': peer,
    'initial-cluster': `default=${peer}`,
  }
  const flags = Object.entries(addresses).flatMap(([name, value]) => [`--${name}`, value])
  const child = spawn('sh', ['-c', GUARDED, etcd, directory, ...flags, ...FLAGS, '--data-dir', directory], {
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const stop = async (): Promise<void> => {
    child.stdin.end()
    await ended
  }
  const client = new GrpcClient({ endpoint })
  const isServing = () => client.unary(RPC.leaseLeases, {}, { timeoutMs: 1_000 }).catch(() => undefined)
  const served = await poll(isServing, { timeoutMs: START_MS_MAX, intervalMs: 100 })
  client.close()
  if (served !== undefined) return { endpoint, stop }
  await stop()
  throw new Error(`${etcd} did not start`)
}

/** One node of quorate, with nothing in it. */
export async function startQuorate(): Promise<RunningServer> {
  const cluster = await startCluster({ nodes: 1 })
  const [endpoint = ''] = cluster.endpoints
  return { endpoint, stop: () => cluster.close() }
}
