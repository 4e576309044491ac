// The two servers of the comparison.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startCluster } from '../../../src/embed/index.ts'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { GrpcClient } from '../../../src/etcd-client/grpc-client.ts'
import { freePorts, localUrl } from '../../../src/local/addresses.ts'
import { poll } from '../../../src/local/poll.ts'

export interface RunningServer {
  readonly endpoint: string
  stop(): Promise<void>
}

const ETCD = '/usr/bin/etcd'
/** Its memory is no disk: etcd waits for each write. */
const MEMORY = '/dev/shm'

/** Debian's etcd, with one member and nothing in it. */
export async function startEtcd(): Promise<RunningServer> {
  if (!existsSync(ETCD))
    throw new Error(`${ETCD} is missing: install it with \`apt-get install etcd-server\``)
  const directory = await mkdtemp(join(existsSync(MEMORY) ? MEMORY : tmpdir(), 'quorate-etcd-'))
  const [port = 0, peerPort = 0] = await freePorts(23_790, 2)
  const [endpoint, peer] = [localUrl(port), localUrl(peerPort)]
  const addresses = {
    'listen-client-urls': endpoint,
    'advertise-client-urls': endpoint,
    'listen-peer-urls': peer,
    'initial-advertise-peer-urls': peer,
    'initial-cluster': `default=${peer}`,
  }
  const flags = Object.entries(addresses).flatMap(([name, value]) => [`--${name}`, value])
  const child = spawn(ETCD, [...flags, '--data-dir', directory, '--log-level', 'error'], { stdio: 'ignore' })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL')
    await ended
    await rm(directory, { recursive: true, force: true })
  }
  const client = new GrpcClient({ endpoint })
  const isServing = () => client.unary(RPC.leaseLeases, {}, { timeoutMs: 1_000 }).catch(() => undefined)
  const served = await poll(isServing, { timeoutMs: 60_000, intervalMs: 100 })
  client.close()
  if (served !== undefined) return { endpoint, stop }
  await stop()
  throw new Error(`${ETCD} did not start`)
}

/** One node of quorate, with nothing in it. */
export async function startQuorate(): Promise<RunningServer> {
  const cluster = await startCluster({ nodes: 1 })
  const [endpoint = ''] = cluster.endpoints
  return { endpoint, stop: () => cluster.close() }
}
