// The public types, word for word: read a change of them in review, and name it in CHANGELOG.
// `npx vitest run test/project/api.test.ts -u` writes them anew.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
let out: string

beforeAll(() => {
  out = mkdtempSync(join(tmpdir(), 'quorate-api-'))
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const args = [tsc, '-p', 'tsconfig.build.json', '--emitDeclarationOnly', '--noCheck', '--outDir', out]
  const { status, stdout } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
  expect(stdout).toBe('')
  expect(status).toBe(0)
})

afterAll(() => rmSync(out, { recursive: true, force: true }))

/** The declarations that an application reads when it imports `entry`, by path. */
function declarations(entry: string): Map<string, string> {
  const found = new Map<string, string>()
  const visit = (path: string): void => {
    if (found.has(path)) return
    const text = readFileSync(path, 'utf8')
    found.set(path, text)
    for (const [, module = ''] of text.matchAll(/from '(\.[^']+)\.ts'/g)) {
      visit(resolve(dirname(path), `${module}.d.ts`))
    }
  }
  visit(join(out, entry))
  return found
}

const withoutComments = (text: string): string => text.replace(/^ *\/\*\*.*?\*\/\n/gms, '')

test('the public types are those that were reviewed', async () => {
  const texts = [...declarations('src/index.d.ts')].map(
    ([path, text]) => `// ${relative(out, path)}\n${withoutComments(text)}`,
  )
  await expect(texts.join('\n')).toMatchFileSnapshot(join(import.meta.dirname, 'golden/api.txt'))
})

test('the public types of recipes are those that were reviewed', async () => {
  const texts = [...declarations('src/recipes/index.d.ts')]
    .map(([path, text]) => [relative(out, path), text] as const)
    .filter(([path]) => path.startsWith('src/recipes/'))
    .map(([path, text]) => `// ${path}\n${withoutComments(text)}`)
  await expect(texts.join('\n')).toMatchFileSnapshot(join(import.meta.dirname, 'golden/api-recipes.txt'))
})

test('the public types of the driver for etcd are those that were reviewed', async () => {
  const texts = [...declarations('src/etcd-client/index.d.ts')]
    .map(([path, text]) => [relative(out, path), text] as const)
    .filter(([path]) => path.startsWith('src/etcd-client/'))
    .map(([path, text]) => `// ${path}\n${withoutComments(text)}`)
  await expect(texts.join('\n')).toMatchFileSnapshot(join(import.meta.dirname, 'golden/api-etcd.txt'))
})

test('the public types for tests are those that were reviewed', async () => {
  const texts = [...declarations('jepsen-lite/testing/index.d.ts')]
    .map(([path, text]) => [relative(out, path), text] as const)
    .filter(([path]) => /^jepsen-lite\/(history|simulation|testing)\//.test(path))
    .map(([path, text]) => `// ${path}\n${withoutComments(text)}`)
  await expect(texts.join('\n')).toMatchFileSnapshot(join(import.meta.dirname, 'golden/api-testing.txt'))
})

const publicFiles = (entry: string): string[] =>
  [...declarations(entry).keys()].map((path) => relative(join(out, 'src'), path)).sort()

test('they reach into no file that is not public', () => {
  const types = ['errors', 'index', 'lease-types', 'txn-types', 'types', 'watch-types']
  const client = ['auth-types', 'client', ...types].map((name) => `client/${name}.d.ts`)
  const simulation = ['error', 'schedule/arbitrary', 'schedule/schedule', 'schedule/types', 'types']
  const kit = ['arbitrary', 'index', 'recorded', 'schedule', 'simulate', 'types', 'verdict']
  expect(publicFiles('jepsen-lite/testing/index.d.ts')).toEqual([
    '../jepsen-lite/history/recorded-history.d.ts',
    ...simulation.map((name) => `../jepsen-lite/simulation/${name}.d.ts`),
    ...kit.map((name) => `../jepsen-lite/testing/${name}.d.ts`),
    ...client,
    'embed/types.d.ts',
    'raft/timing.d.ts',
    'server/api/limits.d.ts',
    'server/clients/grpc-limits.d.ts',
    'server/clients/limits.d.ts',
    'server/listener/limits.d.ts',
    'server/mux/limits.d.ts',
    'server/options.d.ts',
  ])
  expect(publicFiles('src/index.d.ts')).toEqual([
    'client/auth-types.d.ts',
    'client/client.d.ts',
    'client/errors.d.ts',
    'client/index.d.ts',
    'client/lease-types.d.ts',
    'client/txn-types.d.ts',
    'client/types.d.ts',
    'client/watch-types.d.ts',
    'embed/cluster.d.ts',
    'embed/index.d.ts',
    'embed/single-node.d.ts',
    'embed/types.d.ts',
    'index.d.ts',
    'raft/timing.d.ts',
    'server/api/limits.d.ts',
    'server/clients/grpc-limits.d.ts',
    'server/clients/limits.d.ts',
    'server/listener/limits.d.ts',
    'server/mux/limits.d.ts',
    'server/options.d.ts',
  ])
})
