// Costs of nodes below the storage layer of Kubernetes' API server, beside etcd: CPU time of its requests, memory, and
// watches. It prints tables. It asserts only what kubernetes/cost_test.go does, as times depend on the machine.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { type Cluster, settled } from '../../bench/clusters/cluster.ts'
import { ETCD } from '../../bench/clusters/etcd.ts'
import { startQuorate } from '../../bench/clusters/quorate.ts'
import { sample } from '../../bench/measure/processes.ts'
import { buildSuite, KUBERNETES_1_37 } from './kubernetes/suite.ts'
import { scratchDirectory } from './suites.ts'

const OBJECTS = Number(process.env.QUORATE_KUBERNETES_OBJECTS ?? 5_000)
const WATCHERS = Number(process.env.QUORATE_KUBERNETES_WATCHERS ?? 10_000)
const PATH = 'pkg/storage/etcd3'
const PUT_INTERVAL_MS = 20
const HOURS = 2 * 3_600_000

test("what nodes cost below Kubernetes' storage", { timeout: HOURS }, async () => {
  const { sources, programs } = await buildSuite(KUBERNETES_1_37, [PATH], {
    added: { [`${PATH}/cost_test.go`]: 'cost_test.go' },
  })
  const program = { path: programs.get(PATH) ?? '', directory: `${sources}/${PATH}` }
  const tables = []
  for (const start of [startQuorate, await ETCD.prepare()]) {
    const cluster = await start(scratchDirectory('cost'))
    try {
      tables.push(await measure(cluster, program))
    } finally {
      await cluster.stop()
    }
  }
  for (const table of tables) console.table(table)
})

async function measure(cluster: Cluster, program: { readonly path: string; readonly directory: string }) {
  const [leader, ...followers] = await settled(cluster)
  // The test program receives addresses as from nodes.ts.
  const addresses = [leader, ...followers].map(({ url }) => new URL(url).host)
  const server = createServer((socket) => {
    socket.on('error', () => {}).once('data', () => socket.write(`${JSON.stringify({ addresses })}\n`))
  }).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')

  const child = spawn(program.path, ['-test.v', '-test.run', '^TestCost$', '-test.timeout', '0'], {
    cwd: program.directory,
    env: {
      ...process.env,
      QUORATE_NODES: `127.0.0.1:${Object(server.address()).port}`,
      QUORATE_OBJECTS: String(OBJECTS),
      QUORATE_WATCHERS: String(WATCHERS),
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const ended = once(child, 'close')
  const samples = async () => (await settled(cluster)).map(({ pid }) => sample(pid ?? 0))
  const rows: Record<string, string | number>[] = []
  const printed: string[] = []
  let phase: { readonly name: string; readonly count: number } | undefined
  let before = await samples()
  let puts: ReturnType<typeof otherClient> | undefined
  for await (const line of createInterface(child.stdout)) {
    const [, name, count] = /^phase (.*): (\d+)$/.exec(line) ?? []
    if (name !== undefined) {
      phase = { name, count: Number(count) }
      before = await samples()
      await longestTurn(cluster, leader.url)
      puts = otherClient(leader.url)
      child.stdin.write('\n')
    } else if (line === 'done' && phase !== undefined) {
      const after = await samples()
      const cpu = after.map(({ cpuMicros }, at) => cpuMicros - (before[at]?.cpuMicros ?? 0))
      rows.push({
        ...{ on: cluster.system, phase: phase.name },
        'leader µs': Math.round((cpu[0] ?? 0) / phase.count),
        'all µs': Math.round(cpu.reduce((total, each) => total + each, 0) / phase.count),
        'RssAnon MB': after.map(({ rssAnonMb }) => Math.round(rssAnonMb)).join(' '),
        'turn ms': await longestTurn(cluster, leader.url),
        ...(await puts?.end()),
      })
      console.log(JSON.stringify(rows.at(-1)))
    } else printed.push(line)
  }
  const [code] = await ended
  expect(code, printed.join('\n')).toBe(0)
  return rows
}

/** Another client, which puts small values at the node. */
function otherClient(url: string) {
  const headers = { 'content-type': 'application/json' }
  const body = JSON.stringify({ key: btoa('other-client'), value: btoa('value') })
  const latencies: number[] = []
  const ending = new AbortController()
  const put = async (): Promise<void> => {
    while (!ending.signal.aborted) {
      const start = performance.now()
      const response = await fetch(`${url}/v3/kv/put`, { method: 'POST', headers, body })
      await response.arrayBuffer()
      expect(response.status).toBe(200)
      latencies.push(performance.now() - start)
      await sleep(PUT_INTERVAL_MS)
    }
  }
  const putting = put()
  // Its error is thrown at the end.
  putting.catch(() => {})
  return {
    async end() {
      ending.abort()
      await putting
      latencies.sort((a, b) => a - b)
      const quantile = (part: number) => (latencies[Math.floor(latencies.length * part)] ?? 0).toFixed(1)
      return { puts: latencies.length, 'p50 ms': quantile(0.5), 'p99 ms': quantile(0.99) }
    },
  }
}

/** How late timers of a node of quorate ran at most since the last call. */
async function longestTurn(cluster: Cluster, url: string): Promise<string> {
  if (cluster.system !== 'quorate') return '-'
  const text = await (await fetch(`${url}/metrics`)).text()
  const [, seconds] = /^nodejs_eventloop_lag_seconds\{.*statistic="max".*\} (\S+)$/m.exec(text) ?? []
  return (Number(seconds) * 1_000).toFixed(1)
}
