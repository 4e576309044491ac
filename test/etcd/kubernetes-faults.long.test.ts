// The storage layer of Kubernetes' API server with its watch cache, unmodified, on three nodes of quorate that are
// killed again and again. kubernetes/faults_test.go writes and watches through it, and compares at the end: what was
// acknowledged is in the history at its resource version, nothing else is, and each watch had each event once.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { expect, onTestFinished, test } from 'vitest'
import { allNodes, Workspace } from '../local/kv.ts'
import { buildSuite, KUBERNETES_1_37 } from './kubernetes/suite.ts'

const WRITES = Number(process.env.QUORATE_KUBERNETES_WRITES ?? 10_000)
const WRITES_BETWEEN_KILLS = 200
const HOUR = 3_600_000

test("Kubernetes' storage and cache lose and invent nothing while nodes are killed", {
  timeout: HOUR,
}, async () => {
  const path = 'pkg/storage/cacher'
  const { sources, programs } = await buildSuite(KUBERNETES_1_37, [path], {
    added: { [`${path}/faults_test.go`]: 'faults_test.go' },
  })
  const space = await Workspace.open()
  const { nodes } = await space.start()
  const addresses = nodes.map(({ url }) => new URL(url).host)
  // The test program receives addresses as from nodes.ts.
  const server = createServer((socket) => {
    socket.on('error', () => {}).once('data', () => socket.write(`${JSON.stringify({ addresses })}\n`))
  }).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')

  const args = ['-test.v', '-test.run', '^TestFaults$', '-test.timeout', '0']
  const child = spawn(programs.get(path) ?? '', args, {
    cwd: `${sources}/${path}`,
    env: {
      ...process.env,
      QUORATE_NODES: `127.0.0.1:${Object(server.address()).port}`,
      QUORATE_WRITES: String(WRITES),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let acknowledged = 0
  const printed: string[] = []
  const lines = createInterface(child.stdout).on('line', (line) => {
    const [, count] = /^acknowledged (\d+)$/.exec(line) ?? []
    if (count === undefined) printed.push(line)
    else acknowledged = Number(count)
  })
  const ended = once(child, 'close')
  const isDone = (): boolean => acknowledged >= WRITES || child.exitCode !== null || child.signalCode !== null

  const killed = { leaders: 0, followers: 0 }
  const writeOn = async (): Promise<void> => {
    const from = acknowledged
    while (!isDone() && acknowledged < from + WRITES_BETWEEN_KILLS)
      await Promise.race([once(lines, 'line'), ended])
  }
  for (let round = 0; ; round++) {
    await writeOn()
    if (isDone()) break
    const status = await allNodes(space)
    const isLeader = round % 3 !== 2
    const node = status.nodes.find(({ name }) => (name === status.leader) === isLeader)?.name ?? ''
    await space.execute({ command: 'kill', node })
    killed[isLeader ? 'leaders' : 'followers']++
    await writeOn()
    await space.execute({ command: 'restart', node })
  }
  const [code] = await ended
  console.log(`${killed.leaders} leaders and ${killed.followers} followers killed\n${printed.at(-3)}`)
  expect(code, printed.join('\n')).toBe(0)
})
