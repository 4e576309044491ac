// Patroni's class for etcd from Debian, unmodified, against a cluster of quorate: it elects a leader, keeps its lease
// alive, watches, and loses the leader. It speaks the JSON gateway. The packages are downloaded with apt-get, and
// unpacked into a directory of the test; nothing is installed.

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { eventually, Workspace } from '../local/kv.ts'
import { scratchDirectory, unpackDebianPackages } from './suites.ts'

const PACKAGES = ['patroni', 'python3-etcd', 'python3-urllib3', 'python3-dateutil', 'python3-dnspython']
const MORE = ['python3-six', 'python3-psutil', 'python3-yaml', 'python3-click', 'python3-prettytable']

interface Turn {
  readonly leads?: boolean
  readonly leader?: string | null
  readonly members?: readonly string[]
  readonly optime?: number
  readonly machines?: number
  readonly error?: string
}

const PACKAGES_AT = 'usr/lib/python3/dist-packages'

/** A member of Patroni's cluster, and its turns so far. */
function startMember(path: string, name: string, hosts: readonly string[]) {
  const child = spawn(
    '/usr/bin/python3',
    [join(import.meta.dirname, 'patroni/loop.py'), name, '90', hosts.join(',')],
    { env: { ...process.env, PYTHONPATH: path }, stdio: ['ignore', 'pipe', 'inherit'] },
  )
  onTestFinished(() => void child.kill('SIGKILL'))
  let printed = ''
  child.stdout.on('data', (chunk: Buffer) => {
    printed += chunk.toString()
  })
  const turns = (): readonly Turn[] =>
    printed
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Turn)
  return { child, turns, last: (): Turn => turns().at(-1) ?? {} }
}

test('Patroni elects, renews, watches and loses its leader while nodes of quorate are killed', async () => {
  const packages = [...PACKAGES, ...MORE]
  const path = join(unpackDebianPackages(scratchDirectory('patroni'), packages), PACKAGES_AT)
  const space = await Workspace.open()
  const started = await space.start()
  const hosts = started.nodes.map(({ url }) => new URL(url).host)
  const a = startMember(path, 'a', hosts)
  await eventually(() => a.last().leads === true)
  const b = startMember(path, 'b', hosts)
  await eventually(() => b.last().leader === 'a' && b.last().members?.length === 2)
  expect(b.last()).toMatchObject({ leads: false, machines: 3 })
  // The watch of b receives what a writes.
  const { optime = 0 } = b.last()
  await eventually(() => (b.last().optime ?? 0) > optime)

  // The leader of quorate is killed: a keeps its lease, and leads on.
  const { leader } = await space.status()
  await space.execute({ command: 'kill', node: leader ?? '' })
  const turnsThen = a.turns().length
  await eventually(() => a.turns().length > turnsThen + 8)
  expect(
    a
      .turns()
      .slice(turnsThen)
      .filter(({ leads }) => leads === false),
  ).toEqual([])
  expect(a.last()).toMatchObject({ leads: true, leader: 'a' })
  await space.execute({ command: 'restart', node: leader ?? '' })

  // The leader of Patroni ends without a word: its lease ends, and b follows.
  a.child.kill('SIGKILL')
  await eventually(() => b.last().leads === true)
  await eventually(() => b.last().leader === 'b')
  const counts = { turnsOfA: a.turns().length, turnsOfB: b.turns().length }
  console.log(`Patroni: ${JSON.stringify(counts)}`)
})
