// Records what etcd answers to the requests of gateway-cases.ts: node test/etcd/record-gateway.ts. It needs etcd in
// PATH (Debian: etcd-server).

import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { askAll } from './gateway-cases.ts'

const [client, peer] = await Promise.all([findPort(), findPort()])
const directory = await mkdtemp(join(tmpdir(), 'etcd-'))
const clientUrl = `http://127.0.0.1:${client}`
const peerUrl = `http://127.0.0.1:${peer}`
const etcd = spawn(
  'etcd',
  [
    ['--data-dir', directory],
    ['--listen-client-urls', clientUrl],
    ['--advertise-client-urls', clientUrl],
    ['--listen-peer-urls', peerUrl],
    ['--initial-advertise-peer-urls', peerUrl],
    ['--initial-cluster', `default=${peerUrl}`],
  ].flat(),
  { stdio: 'ignore' },
)
try {
  await ready()
  const version = (await (await fetch(`${clientUrl}/version`)).json()) as { readonly etcdserver: string }
  const answers = await askAll(client)
  const golden = { etcd: version.etcdserver, answers }
  await writeFile(
    new URL('golden/gateway.json', import.meta.url),
    `${JSON.stringify(golden, undefined, 2)}\n`,
  )
} finally {
  etcd.kill()
  await rm(directory, { recursive: true, force: true })
}

async function ready(): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const health = await fetch(`${clientUrl}/health`).catch(() => undefined)
    if (health?.ok) return
    await sleep(100)
  }
  throw new Error('etcd has not become ready')
}

function findPort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer()
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
