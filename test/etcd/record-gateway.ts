// Records what etcd answers to the requests of gateway-cases.ts and apisix.ts: node test/etcd/record-gateway.ts. The
// variable QUORATE_ETCD chooses the etcd.

import { mkdir, writeFile } from 'node:fs/promises'
import { converseAsApisix } from './apisix.ts'
import { startEtcd } from './differential/servers.ts'
import { etcdPrograms } from './etcd-programs.ts'
import { askAll } from './gateway-cases.ts'

const programs = await etcdPrograms()
await record('gateway', askAll)
await record('apisix', converseAsApisix)

/** Writes the answers of an empty etcd. */
async function record(name: string, converse: (port: number) => Promise<object>): Promise<void> {
  const etcd = await startEtcd(programs)
  try {
    const answers = await converse(Number(new URL(etcd.endpoint).port))
    const directory = new URL(`golden/${programs.release}/`, import.meta.url)
    await mkdir(directory, { recursive: true })
    const golden = { etcd: programs.version, answers }
    await writeFile(new URL(`${name}.json`, directory), `${JSON.stringify(golden, undefined, 2)}\n`)
  } finally {
    await etcd.stop()
  }
}
