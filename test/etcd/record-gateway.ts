// Records what etcd answers to the requests of gateway-cases.ts: node test/etcd/record-gateway.ts. The variable
// QUORATE_ETCD chooses the etcd.

import { mkdir, writeFile } from 'node:fs/promises'
import { startEtcd } from './differential/servers.ts'
import { etcdPrograms } from './etcd-programs.ts'
import { askAll } from './gateway-cases.ts'

const programs = await etcdPrograms()
const etcd = await startEtcd(programs)
try {
  const answers = await askAll(Number(new URL(etcd.endpoint).port))
  const directory = new URL(`golden/${programs.release}/`, import.meta.url)
  await mkdir(directory, { recursive: true })
  const golden = { etcd: programs.version, answers }
  await writeFile(new URL('gateway.json', directory), `${JSON.stringify(golden, undefined, 2)}\n`)
} finally {
  await etcd.stop()
}
