// etcd's own end-to-end tests, unmodified, against quorate. Debian has the sources of 3.4, and Go's modules those of
// 3.6; the program `etcd` that they start is e2e/etcd.ts. The tests that cannot pass stand in e2e/cannot-pass.ts: one
// of them that passes is a failure too. Members have fixed ports from 20000 on.

import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'vitest'
import { CANNOT_PASS, COMMON_CANNOT_PASS } from './e2e/cannot-pass.ts'
import { runSuite, suiteDirectory } from './e2e/suite.ts'
import { requireFile, requireProgram, scratchDirectory, succeed } from './suites.ts'

const HOUR = 3_600_000
const GOPATH = '/usr/share/gocode'
const DEBIAN_SUITE = 'go.etcd.io/etcd/tests/e2e'
const MODULES = 'go.etcd.io/etcd'
const VERSION = 'v3.6.16'

test("etcd's end-to-end tests of 3.4", { timeout: HOUR }, async () => {
  requireProgram('go', 'golang-go')
  requireProgram('curl', 'curl')
  requireProgram('/usr/bin/etcd', 'etcd-server')
  requireProgram('/usr/bin/etcdctl', 'etcd-client')
  requireFile(join(GOPATH, 'src', DEBIAN_SUITE), 'golang-etcd-server-dev')
  const directory = await suiteDirectory(
    join(GOPATH, 'src/go.etcd.io/etcd/integration/fixtures'),
    '/usr/bin/etcd',
  )
  const [program, cwd] = [join(directory, 'e2e.test'), 'tests/e2e']
  mkdirSync(join(directory, cwd), { recursive: true })
  await succeed('go', ['test', '-c', '-o', program, DEBIAN_SUITE], {
    env: { ...process.env, GO111MODULE: 'off', GOPATH },
  })
  symlinkSync('/usr/bin/etcdctl', join(directory, 'bin/etcdctl'))
  await runSuite({ name: 'tests/e2e of 3.4', program, directory, cwd, cannotPass: CANNOT_PASS })
})

test("etcd's common tests of 3.6", { timeout: HOUR }, async () => {
  requireProgram('go', 'golang-go')
  const build = scratchDirectory('e2e-build')
  const go = (...args: string[]) => succeed('go', args, { cwd: build })
  writeFileSync(join(build, 'go.mod'), 'module suite\n\ngo 1.26.0\n')
  await go('get', `${MODULES}/tests/v3@${VERSION}`)
  const sources = execFileSync('go', ['list', '-m', '-f', '{{.Dir}}', `${MODULES}/tests/v3`], {
    cwd: build,
    encoding: 'utf8',
  }).trim()
  const buildProgram = (name: string, module: string) =>
    go('build', '-mod=mod', '-o', join(build, name), `${MODULES}/${module}`)
  await buildProgram('etcd', 'server/v3')
  const directory = await suiteDirectory(join(sources, 'fixtures'), join(build, 'etcd'))
  await buildProgram('etcdctl', 'etcdctl/v3')
  symlinkSync(join(build, 'etcdctl'), join(directory, 'bin/etcdctl'))
  const [program, cwd] = [join(directory, 'common.test'), 'tests/common']
  mkdirSync(join(directory, cwd), { recursive: true })
  await go('test', '-mod=mod', '-tags', 'e2e', '-c', '-o', program, `${MODULES}/tests/v3/common`)
  await runSuite({ name: 'tests/common of 3.6', program, directory, cwd, cannotPass: COMMON_CANNOT_PASS })
})
