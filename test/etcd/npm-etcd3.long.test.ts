// The own suite of the npm package etcd3, unmodified, against one node of quorate with TLS. The package has no tests in
// it: they are in its public repository, which is cloned, or is already there (QUORATE_ETCD3=DIRECTORY).

import { chmodSync, copyFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { finish, requireProgram, scratchDirectory, startNodes, succeed } from './suites.ts'

const REPOSITORY = 'https://github.com/microsoft/etcd3'

async function cloneRepository(): Promise<string> {
  requireProgram('git', 'git')
  const directory = join(scratchDirectory('etcd3'), 'clone')
  const { code, output } = await finish('git', ['clone', '--depth', '1', REPOSITORY, directory])
  if (code === 0) return directory
  throw new Error(
    `${REPOSITORY} could not be cloned; QUORATE_ETCD3=DIRECTORY names a clone that is there:\n${output}`,
  )
}

test("npm etcd3's own suite", { timeout: 1_200_000 }, async () => {
  const clone = process.env.QUORATE_ETCD3 ?? (await cloneRepository())
  const run = (program: string, ...args: string[]) => succeed(program, args, { cwd: clone })
  if (!existsSync(join(clone, 'node_modules'))) await run('npm', 'ci', '--ignore-scripts')
  if (!existsSync(join(clone, 'lib/test'))) await run(process.execPath, 'node_modules/typescript/bin/tsc')

  const directory = scratchDirectory('etcd3-node')
  const [certificate, key] = [
    join(clone, 'src/test/certs/certs/etcd0.localhost.crt'),
    join(directory, 'node.key'),
  ]
  // A node refuses a private key that others can read.
  copyFileSync(join(clone, 'src/test/certs/private/etcd0.localhost.key'), key)
  chmodSync(key, 0o600)
  const [node] = await startNodes(directory, ['n1'], { flags: ['--tls-cert', certificate, '--tls-key', key] })

  const { output } = await finish(
    process.execPath,
    ['node_modules/mocha/bin/mocha.js', '--reporter', 'json'],
    {
      cwd: clone,
      env: { ...process.env, ETCD_ADDR: node?.address, ETCD_VERSION: '3.4.23' },
    },
  )
  const report = JSON.parse(output.slice(output.indexOf('{\n'))) as {
    readonly stats: { readonly passes: number; readonly failures: number; readonly pending: number }
    readonly failures: readonly { readonly fullTitle: string; readonly err: object }[]
  }
  const { passes, failures, pending } = report.stats
  console.log(`npm etcd3: ${passes} pass, ${failures} fail, ${pending} are marked as pending in it`)
  expect(report.failures.map(({ fullTitle, err }) => ({ fullTitle, err }))).toEqual([])
  // A suite that lost its tests would pass as well.
  expect(passes).toBeGreaterThanOrEqual(155)
})
