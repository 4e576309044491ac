import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { pinnedVersion } from './go-programs.ts'

function moduleWith(requirements: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'quorate-module-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, 'go.mod'), `module m\n\ngo 1.26\n\nrequire (\n${requirements}\n)\n`)
  return directory
}
const NAMES = ['go.etcd.io/etcd/server/v3', 'go.etcd.io/etcd/etcdctl/v3', 'go.etcd.io/etcd/client/v3']
const pins = (...versions: (string | undefined)[]): string =>
  versions.flatMap((version, at) => (version === undefined ? [] : [`\t${NAMES[at]} v${version}`])).join('\n')

test('modules that are pinned to one version have it', async () => {
  const others = '\texample.test/client/v3 v1.0.0\n\tgo.etcd.io/etcd/client/v3x v2.0.0 // indirect\n'
  const module = moduleWith(others + pins('3.6.16', '3.6.16', '3.6.16'))
  expect(await pinnedVersion(module, NAMES)).toBe('3.6.16')
})

test.each([
  ['3.6.16', '3.6.16', '3.6.15'],
  ['3.6.15', '3.6.16', '3.6.16'],
  ['3.6.16', '3.6.16', undefined],
  [undefined, undefined, undefined],
])('versions %s, %s and %s are refused', async (...versions) => {
  await expect(pinnedVersion(moduleWith(pins(...versions)), NAMES)).rejects.toThrow(
    `must pin one version of ${NAMES.join(', ')}: ${versions.map((each) => each ?? 'none').join(', ')}`,
  )
})
