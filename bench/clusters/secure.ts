// A cluster with TLS that checks rights, and one without, both started as `quorate cluster start --detach --direct`.

import { Client } from '../../src/client/index.ts'
import { clientTls } from '../../src/local/directory/certificates.ts'
import { LocalClusterDocument } from '../../src/operations/documents/supervisor.ts'
import type { Access } from '../load/load.ts'
import { atTheEnd } from '../undo.ts'
import { consecutivePorts } from './ports.ts'
import { kvCluster } from './quorate.ts'

const NODES = 3
/** The first calls make nodes load most of their API. */
const TIMEOUT_MS = 30_000
const USER = 'bench'
const PASSWORD = 'a password for benchmarks'

export interface RunningCluster {
  /** The leader is first. */
  readonly nodes: readonly { readonly url: string; readonly pid: number }[]
  /** undefined: neither TLS nor rights. */
  readonly access: Access | undefined
}

export async function startCluster(data: string, isSecure: boolean): Promise<RunningCluster> {
  const port = await consecutivePorts(NODES)
  atTheEnd(() => kvCluster('stop', '--data', data))
  const flags = [
    '--detach',
    '--direct',
    '--nodes',
    `${NODES}`,
    '--port',
    `${port}`,
    ...(isSecure ? ['--tls'] : []),
  ]
  await kvCluster('start', '--data', data, ...flags)
  const { stdout } = await kvCluster('status', '--data', data, '-o', 'json')
  const { leader, nodes } = LocalClusterDocument.decode(JSON.parse(stdout))
  const known = nodes.map(({ name, url, pid }) => ({ name, url, pid: pid ?? 0 }))
  known.sort((a, b) => Number(b.name === leader) - Number(a.name === leader))
  return {
    nodes: known,
    access: isSecure
      ? await accessTo(
          data,
          known.map(({ url }) => url),
        )
      : undefined,
  }
}

/** Checks rights from now on, and makes the user of the loads, who may use the keys of the loads and nothing else. */
async function accessTo(data: string, endpoints: readonly string[]): Promise<Access> {
  const tls = clientTls(data)
  const root = new Client({ endpoints, tls, timeoutMs: TIMEOUT_MS })
  await root.users.put('root', { roles: ['root'] })
  await root.roles.put(USER, [{ access: 'readwrite', prefix: 'key-' }])
  await root.users.put(USER, { password: PASSWORD, roles: [USER] })
  await root.auth.enable()
  await root.close()
  return { ca: tls.ca.toString(), user: USER, password: PASSWORD }
}
