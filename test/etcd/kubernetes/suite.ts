// The tests of Kubernetes' storage layer as programs, built from unmodified sources, which Go downloads. Where they
// start an etcd, an overlay of Go's compiler starts nodes of quorate.

import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cacheDirectory, requireGo, scratchDirectory, succeed } from '../suites.ts'

export interface Suite {
  /** The release of the module k8s.io/apiserver. */
  readonly version: string
  /** The packages whose tests have a store. */
  readonly packages: readonly string[]
  /** The module that starts an etcd, if it is another one, with its version. */
  readonly etcd?: string
  /** The package that starts an etcd, in the directory of its module. */
  readonly replaced: string
  /** Our file in place of the files of that package whose names match. */
  readonly file: { readonly ours: string; readonly theirs: RegExp }
}

export const KUBERNETES_1_37: Suite = {
  version: 'v0.37.2',
  packages: [
    'pkg/storage/etcd3',
    'pkg/storage/cacher',
    'pkg/storage/storagebackend/factory',
    'pkg/registry/generic/registry',
  ],
  replaced: 'apiserver/pkg/storage/etcd3/testserver',
  file: { ours: 'test_server.go', theirs: /^test_server\.go$/ },
}

export const KUBERNETES_1_20: Suite = {
  version: 'v0.20.15',
  packages: ['pkg/storage/etcd3'],
  etcd: 'go.etcd.io/etcd@v0.5.0-alpha.5.0.20200910180754-dd1b699fc489',
  replaced: 'etcd/integration',
  file: { ours: 'integration.go', theirs: /(?<!_test)\.go$/ },
}

export interface BuiltSuite {
  /** The directory of the module. */
  readonly sources: string
  /** The program with the tests of each package. */
  readonly programs: ReadonlyMap<string, string>
}

/** Builds the tests of packages. `added`: our files beside theirs. `isControl`: with the etcd that they start. */
export async function buildSuite(
  suite: Suite,
  packages: readonly string[],
  {
    added = {},
    isControl = false,
  }: { readonly added?: Readonly<Record<string, string>>; readonly isControl?: boolean } = {},
): Promise<BuiltSuite> {
  requireGo(26)
  const scratch = scratchDirectory('kubernetes')
  const cache = cacheDirectory(`kubernetes-${suite.version}`)
  const sources = await copyModule(join(cache, 'apiserver'), `k8s.io/apiserver@${suite.version}`)
  const requirements = join(scratch, 'go.mod')
  for (const file of ['go.mod', 'go.sum']) copyFileSync(join(sources, file), join(scratch, file))
  if (suite.etcd !== undefined) {
    const etcd = await copyModule(join(cache, 'etcd'), suite.etcd)
    await succeed('go', ['mod', 'edit', `-replace=go.etcd.io/etcd=${etcd}`, requirements])
  }
  const ours = Object.entries(added).map(([theirs, file]) => [
    join(sources, theirs),
    join(import.meta.dirname, file),
  ])
  const replaced = isControl ? {} : { ...replacements(suite, cache, scratch), ...Object.fromEntries(ours) }
  const overlay = join(scratch, 'overlay.json')
  writeFileSync(overlay, JSON.stringify({ Replace: replaced }))
  const programs = new Map<string, string>()
  for (const path of packages) {
    const output = join(scratch, `${path.replaceAll('/', '-')}.test`)
    const from = ['-modfile', requirements, '-overlay', overlay]
    // Vet would read all sources once more.
    const build = ['go', 'test', '-c', '-vet=off', '-p', '2', ...from, '-o', output, `./${path}`]
    await succeed('nice', ['-n', '10', ...build], { cwd: sources })
    programs.set(path, output)
  }
  return { sources, programs }
}

/** Our files by the paths of theirs. The compiler does not see a file that is replaced by none. */
function replacements(
  { replaced, file }: Suite,
  cache: string,
  scratch: string,
): Readonly<Record<string, string>> {
  const at = (name: string): string => join(cache, replaced, name)
  const [first = '', ...others] = readdirSync(join(cache, replaced)).filter((name) => file.theirs.test(name))
  const server = join(import.meta.dirname, file.ours)
  const [clause = ''] = /^package \w+$/m.exec(readFileSync(server, 'utf8')) ?? []
  const nodes = readFileSync(join(import.meta.dirname, 'nodes.go'), 'utf8')
  const own = join(scratch, 'overlay')
  mkdirSync(own)
  writeFileSync(join(own, 'nodes.go'), nodes.replace(/^package \w+$/m, clause))
  return {
    ...Object.fromEntries(others.map((name) => [at(name), ''])),
    [at(first)]: server,
    [at('quorate_nodes.go')]: join(own, 'nodes.go'),
  }
}

/** An overlay must not change Go's own cache. In one place, the compiler finds what it has compiled before. */
async function copyModule(directory: string, module: string): Promise<string> {
  if (existsSync(directory)) return directory
  const scratch = scratchDirectory('module')
  const downloaded = await succeed('go', ['mod', 'download', '-json', module], { cwd: scratch })
  await succeed('cp', ['-r', '--no-preserve=mode', JSON.parse(downloaded).Dir, join(scratch, 'copy')])
  await succeed('mv', [join(scratch, 'copy'), directory])
  return directory
}
