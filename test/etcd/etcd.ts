// An etcd as processes of a test: the one that `etcdPrograms` finds.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { etcdPrograms } from './etcd-programs.ts'

export interface EtcdMember {
  readonly url: string
  kill(): Promise<void>
  start(): void
}

export interface Etcd extends AsyncDisposable {
  readonly endpoints: readonly string[]
  readonly members: readonly EtcdMember[]
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  const ports = servers.map((server) => Number(Object(server.address()).port))
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

interface EtcdOptions {
  /** Further flags of each member. */
  readonly args?: readonly string[]
  /** The flags have the certificates of clients. */
  readonly isSecure?: boolean
  /** Default: e0, e1 and so on. */
  readonly names?: readonly string[]
  /** The port of the first member, for clients. */
  readonly firstPort?: number
}

/** It must be ended by the test. */
export async function startEtcd(memberCount = 1, options: EtcdOptions = {}): Promise<Etcd> {
  const programs = await etcdPrograms()
  const top = mkdtempSync(join(tmpdir(), 'quorate-etcd-'))
  const ports = await freePorts(2 * memberCount)
  if (options.firstPort !== undefined) ports[0] = options.firstPort
  const urls = ports.map((port, at) => {
    const isSecure = options.isSecure === true && at < memberCount
    return `${isSecure ? 'https' : 'http'}://127.0.0.1:${port}`
  })
  const names = options.names ?? Array.from({ length: memberCount }, (_, at) => `e${at}`)
  const initial = names.map((name, at) => `${name}=${urls[memberCount + at]}`).join()
  const members = names.map((name, at) => {
    const [url = '', peer = ''] = [urls[at], urls[memberCount + at]]
    let child: ChildProcess
    const start = () => {
      const args = [
        ...['--name', name, '--data-dir', join(top, name), '--initial-cluster', initial],
        ...['--listen-client-urls', url, '--advertise-client-urls', url],
        ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
        ...(options.args ?? []),
      ]
      child = spawn(programs.etcd, args, { stdio: 'ignore' })
    }
    start()
    const kill = async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    return { url, start, kill }
  })
  return {
    endpoints: urls.slice(0, memberCount),
    members,
    async [Symbol.asyncDispose]() {
      await Promise.all(members.map((member) => member.kill()))
      rmSync(top, { recursive: true, force: true })
    },
  }
}
