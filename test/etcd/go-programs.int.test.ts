import { readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { startEtcd } from './etcd.ts'
import { etcdPrograms } from './etcd-programs.ts'
import { cachedPrograms, pinnedVersion } from './go-programs.ts'
import { scratchDirectory } from './suites.ts'

function moduleWith(requirements: string): string {
  const directory = scratchDirectory('module')
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

/** A directory of programs that are shell scripts. */
function programsWith(scripts: Readonly<Record<string, string>>): string {
  const directory = scratchDirectory('programs')
  for (const [name, script] of Object.entries(scripts))
    writeFileSync(join(directory, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  return directory
}

/** Replaces Go by a script: `$5` is the program that it builds, and `$6` the package. */
function useGo(build: string): void {
  const directory = programsWith({ go: `[ "$1" = build ] || exit 0\n${build}` })
  vi.stubEnv('PATH', `${directory}${delimiter}${process.env.PATH}`)
  onTestFinished(() => void vi.unstubAllEnvs())
}

test('a program is built once, and a build that fails leaves nothing', async () => {
  vi.stubEnv('XDG_CACHE_HOME', scratchDirectory('cache'))
  vi.spyOn(console, 'error').mockReturnValue()
  const log = join(scratchDirectory('log'), 'builds')
  const built = () => cachedPrograms('program-1', { program: 'example.test/program' }, '/')
  const read = (directory: string) => readFileSync(join(directory, 'program'), 'utf8')

  useGo(`echo part > "$5"; echo failed >&2; exit 1`)
  await expect(built()).rejects.toThrow('failed')
  useGo(`echo "$6" >> '${log}'; echo whole > "$5"`)
  for (let time = 0; time < 3; time++) expect(read(await built())).toBe('whole\n')
  expect(readFileSync(log, 'utf8')).toBe('example.test/program\n')
})

const VERSION = 'echo "etcd Version: 3.6.9"; exit'
const ETCD = { etcd: `[ "$1" = --version ] && { ${VERSION}; }; exec sleep 600`, etcdctl: '' }

test('programs of etcd have a release that the comparison knows', async () => {
  const directory = programsWith(ETCD)
  expect(await etcdPrograms(directory)).toEqual({
    ...{ release: '3.6', version: '3.6.9' },
    ...{ etcd: join(directory, 'etcd'), etcdctl: join(directory, 'etcdctl') },
  })
  for (const [version, text] of [
    ['3.5.9', 'is etcd 3.5.9: the comparison knows 3.4 and 3.6'],
    ['13.6.9', 'is etcd 13.6.9'],
  ] as const)
    await expect(
      etcdPrograms(programsWith({ ...ETCD, etcd: `echo "etcd Version: ${version}"` })),
    ).rejects.toThrow(text)
  await expect(etcdPrograms(programsWith({ etcd: VERSION }))).rejects.toThrow(/etcdctl is missing/)
})

test('a member of etcd that was killed starts again, and all have ended at the end', async () => {
  vi.stubEnv('QUORATE_ETCD', programsWith(ETCD))
  onTestFinished(() => void vi.unstubAllEnvs())
  const etcd = await startEtcd(2)
  const [member] = etcd.members
  for (let time = 0; time < 2; time++) {
    await member?.kill()
    await member?.kill()
    member?.start()
  }
  await member?.kill()
  await etcd[Symbol.asyncDispose]()
})
