// The own suites of clients of etcd, unmodified, against nodes of quorate, and against etcd as a control. A test that
// cannot pass stands in clients/list.ts: one of them that passes is a failure too. Suites stop nodes by the names of
// their own cluster. All have the same port, so no two of them run at a time.

import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { isFree } from '../../src/local/addresses.ts'
import { SUITES } from './clients/list.ts'
import { type ClientSuite, faultsOf, type Server, SUITE_PORT, testsWith } from './clients/suite.ts'
import { startEtcd } from './etcd.ts'
import { type EtcdPrograms, etcdPrograms } from './etcd-programs.ts'
import { scratchDirectory, startNodes, succeed } from './suites.ts'

const SERVERS: readonly Server[] = ['quorate', 'etcd']
const CASES = SUITES.flatMap((suite) => SERVERS.map((server) => ({ name: suite.name, server, suite })))

test.each(CASES)('$name on $server', { timeout: 2 * 3_600_000 }, async ({ name, server, suite }) => {
  if (!(await isFree(SUITE_PORT))) throw new Error(`the suite needs port ${SUITE_PORT}, which is taken`)
  const directory = scratchDirectory('client-suite')
  const programs = await etcdPrograms()
  const run = await suite.prepare(directory)
  await startServer(server, suite, directory)
  if (suite.rootPassword !== undefined) await addRoot(programs, suite.rootPassword)

  const bin = binDirectory(directory, server, programs)
  const { outcomes, output } = await run({
    ...process.env,
    PATH: `${bin}${delimiter}${process.env.PATH}`,
  })
  const counts = (['passed', 'failed', 'skipped'] as const).map(
    (outcome) => `${testsWith(outcomes, outcome).length} ${outcome}`,
  )
  console.log(`${name} on ${server}: ${counts.join(', ')}`)
  expect(faultsOf(suite, server, outcomes), output).toEqual([])
})

async function startServer(server: Server, suite: ClientSuite, directory: string): Promise<void> {
  const { nodes: names, flags } = suite
  const [count, args] = [names.length, flags?.[server] ?? []]
  if (count === 0) return
  if (server === 'quorate') {
    await startNodes(directory, names, { firstPort: SUITE_PORT, flags: args })
    return
  }
  const etcd = await startEtcd(count, { names, args, firstPort: SUITE_PORT })
  onTestFinished(() => etcd[Symbol.asyncDispose]())
  for (const endpoint of etcd.endpoints)
    while (!(await fetch(`${endpoint}/health`).catch(() => undefined))?.ok) await sleep(20)
}

async function addRoot({ etcdctl }: EtcdPrograms, password: string): Promise<void> {
  const user = (...args: string[]) =>
    succeed(etcdctl, ['--endpoints', `127.0.0.1:${SUITE_PORT}`, 'user', ...args])
  await user('add', `root:${password}`)
  await user('grant-role', 'root', 'root')
}

/** A directory with the programs that suites start: etcdctl, and what is etcd in this run. */
function binDirectory(directory: string, server: Server, { etcd, etcdctl }: EtcdPrograms): string {
  const bin = join(directory, 'bin')
  mkdirSync(bin)
  symlinkSync(etcdctl, join(bin, 'etcdctl'))
  if (server === 'etcd') symlinkSync(etcd, join(bin, 'etcd'))
  else {
    const node = join(import.meta.dirname, 'e2e/etcd.ts')
    writeFileSync(join(bin, 'etcd'), `#!/bin/sh\nexec '${process.execPath}' '${node}' "$@"\n`, {
      mode: 0o755,
    })
  }
  return bin
}
