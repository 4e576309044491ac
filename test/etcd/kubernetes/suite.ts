// The tests of Kubernetes' storage layer as programs, built from unmodified sources, which Go downloads. Where they
// start an etcd, an overlay of Go's compiler starts nodes of quorate.

import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cacheDirectory, requireGo, scratchDirectory, succeed } from '../suites.ts'

/** The release of the module k8s.io/apiserver. */
export const VERSION = 'v0.37.2'
/** The packages whose tests have a store. */
export const PACKAGES = [
  'pkg/storage/etcd3',
  'pkg/storage/cacher',
  'pkg/storage/storagebackend/factory',
  'pkg/registry/generic/registry',
] as const
/** The package that starts an etcd, and its file. */
const REPLACED = 'pkg/storage/etcd3/testserver'
const FILE = 'test_server.go'

export interface BuiltSuite {
  /** The directory of the module. */
  readonly sources: string
  /** The program with the tests of each package. */
  readonly programs: ReadonlyMap<string, string>
}

/**
 * Builds the tests of these packages. `added`: our files beside theirs. `isControl`: with the etcd that they start.
 */
export async function buildSuite(
  packages: readonly string[],
  {
    added = {},
    isControl = false,
  }: { readonly added?: Readonly<Record<string, string>>; readonly isControl?: boolean } = {},
): Promise<BuiltSuite> {
  requireGo(26)
  const scratch = scratchDirectory('kubernetes')
  const module = `k8s.io/apiserver@${VERSION}`
  const sources = await copyModule(join(cacheDirectory(`kubernetes-${VERSION}`), 'apiserver'), module)
  const files = { [`${REPLACED}/${FILE}`]: FILE, [`${REPLACED}/quorate_nodes.go`]: 'nodes.go', ...added }
  const replaced = Object.fromEntries(
    Object.entries(files).map(([theirs, ours]) => [join(sources, theirs), join(import.meta.dirname, ours)]),
  )
  const overlay = join(scratch, 'overlay.json')
  writeFileSync(overlay, JSON.stringify({ Replace: isControl ? {} : replaced }))
  const programs = new Map<string, string>()
  for (const path of packages) {
    const output = join(scratch, `${path.replaceAll('/', '-')}.test`)
    // Vet would read all sources once more.
    const build = ['go', 'test', '-c', '-vet=off', '-p', '2', '-overlay', overlay, '-o', output, `./${path}`]
    await succeed('nice', ['-n', '10', ...build], { cwd: sources })
    programs.set(path, output)
  }
  return { sources, programs }
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
